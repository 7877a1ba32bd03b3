import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { Cluster } from 'ioredis';
import pg from 'pg';
import { expect, it } from 'vitest';
import { startProxiedNatsCluster, startProxiedPostgres, startProxiedRedisCluster } from './proxied.ts';
import { until } from './rig.ts';
import { describeWithServers } from './servers.ts';

describeWithServers(['redis'], 'a Redis Cluster behind bad networks', () => {
  it('is reached through them only, and elects another primary when one is cut off', async () => {
    const cluster = await startProxiedRedisCluster({ nodeTimeoutMs: 1_000 });
    const client = new Cluster([...cluster.urls], { clusterRetryStrategy: () => 50 });
    client.on('error', () => {});
    try {
      await client.set('{b1}x', 'before');
      const announced = cluster.nodes.map((node) => cluster.networks.clientsOf(node).port);
      for (const { options } of client.nodes('all')) expect(announced).toContain(options.port);

      const lonely = await cluster.primaryOf('{b1}');
      const [witness] = cluster.nodes.filter((node) => node !== lonely);
      cluster.networks.around(lonely).stall();
      const heir = () => cluster.primaryOf('{b1}', witness).catch(() => lonely);
      await until(async () => (await heir()) !== lonely, 'the others have a new primary', 30_000);
      cluster.networks.around(lonely).restore();
      await cluster.untilWhole();
      expect(String(await lonely.call('INFO', 'replication'))).toContain('role:slave');
      expect(await client.get('{b1}x')).toBe('before');
    } finally {
      client.disconnect();
      await cluster.stop();
    }
  }, 90_000);
});

describeWithServers(['nats'], 'a JetStream cluster behind bad networks', () => {
  it('acknowledges nothing while no server hears another, and goes on afterwards', async () => {
    const cluster = await startProxiedNatsCluster();
    const connection = await connect({ servers: [...cluster.urls], maxReconnectAttempts: -1 });
    try {
      const announced = cluster.nodes.map((node) => cluster.networks.clientsOf(node).port);
      for (const url of connection.info?.connect_urls ?? [])
        expect(announced).toContain(Number(url.split(':').at(-1)));
      const manager = await jetstreamManager(connection);
      const config = { name: 'promise', subjects: ['promise.>'], num_replicas: 3 };
      const isPlaced = () => manager.streams.add(config).then(Boolean, () => false);
      await until(isPlaced, 'the servers hear one another and place a stream', 30_000);
      const publish = (id: string) =>
        jetstream(connection).publish('promise.1', id, { msgID: id, timeout: 500 });
      // A stream that is placed has no leader yet.
      const isFirst = () =>
        publish('one').then(
          ({ seq }) => seq === 1,
          () => false,
        );
      await until(isFirst, 'the stream takes messages', 30_000);
      const everyone = cluster.nodes.map((node) => cluster.networks.around(node));
      const clients = cluster.nodes.map((node) => cluster.networks.clientsOf(node));
      for (const network of everyone) network.stall();
      for (const network of clients) network.restore();
      // What was on its way when they stalled may still be answered; then nothing is.
      let probes = 0;
      const isSilent = () => {
        probes += 1;
        return publish(`probe ${probes}`).then(
          () => false,
          () => true,
        );
      };
      await until(isSilent, 'nothing is acknowledged any more', 30_000);
      await expect(publish('two')).rejects.toThrow();
      for (const network of everyone) network.restore();
      const goesOn = () => publish('two').then(Boolean, () => false);
      await until(goesOn, 'it takes messages again', 60_000);
      // Once, although it was sent again and again.
      const again = async () => (await publish('two')).duplicate;
      await until(again, 'the same id again is the same message', 30_000);
    } finally {
      await connection.close();
      await cluster.stop();
    }
  }, 90_000);
});

it('a Postgres behind a bad network commits, and the answer is lost', async () => {
  const { proxy, server, through, stop } = await startProxiedPostgres();
  const [near, far] = [server.url, through(server.url)].map((connectionString) => {
    const client = new pg.Client({ connectionString });
    client.on('error', () => {});
    return client;
  });
  try {
    await Promise.all([near!.connect(), far!.connect()]);
    await near!.query('CREATE TABLE paid (fen bigint)');
    await far!.query('BEGIN');
    await far!.query('INSERT INTO paid VALUES (8)');
    const lost = proxy.loseReplyTo((chunk) => chunk.includes('COMMIT'));
    await expect(far!.query('COMMIT')).rejects.toThrow();
    await lost;
    expect((await near!.query('SELECT fen::int FROM paid')).rows).toEqual([{ fen: 8 }]);
  } finally {
    await near!.end();
    await stop();
  }
});
