import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postgresKinds } from '../test/support/postgres.ts';
import { until } from '../test/support/rig.ts';
import { describeWithServers } from '../test/support/servers.ts';
import {
  freePort,
  type NatsCluster,
  type PostgresServer,
  type RedisCluster,
  startNatsCluster,
  startPostgres,
  startRedisCluster,
} from './services.ts';

describeWithServers(['redis'], 'a Redis Cluster of our own', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster({ primaries: 3, replicas: 1, nodeTimeoutMs: 1_000 });
  });
  afterAll(() => cluster.stop());

  it('has three primaries that share the slots, each with a replica in step', async () => {
    expect(cluster.nodes).toHaveLength(6);
    expect(await cluster.primaries()).toHaveLength(3);
    const primary = await cluster.primaryOf('{b7}');
    expect(await primary.call('SET', '{b7}x', '1')).toBe('OK');
    expect(await primary.call('WAIT', 1, 5_000)).toBe(1);
  });

  it('is kept as a book must be: nothing evicted, appended to a file, written to without waiting for a replica', async () => {
    const settings = ['maxmemory-policy', 'appendonly', 'appendfsync', 'min-replicas-to-write'];
    const said = await Promise.all(settings.map((name) => cluster.nodes[0]!.call('CONFIG', 'GET', name)));
    expect(said).toEqual([
      ['maxmemory-policy', 'noeviction'],
      ['appendonly', 'yes'],
      ['appendfsync', 'everysec'],
      ['min-replicas-to-write', '0'],
    ]);
  });

  it('survives the death of a primary, which comes back on its port as a replica and knows what was written', async () => {
    const dead = await cluster.primaryOf('{b7}');
    await dead.kill();
    expect(dead.isRunning).toBe(false);
    const heir = () => cluster.primaryOf('{b7}').catch(() => dead);
    await until(async () => (await heir()) !== dead, 'a replica takes over', 30_000);
    await dead.restart();
    await cluster.untilWhole();
    const { port } = dead;
    expect(String(await dead.call('INFO', 'replication'))).toContain('role:slave');
    expect(await (await heir()).call('GET', '{b7}x')).toBe('1');
    expect(port).toBe(cluster.nodes.find((node) => node.pid === dead.pid)!.port);
  });

  it('can be frozen, says nothing then, and goes on where it was', async () => {
    const replica = cluster.nodes.find((node) => node.isRunning)!;
    replica.freeze();
    await expect(replica.call('PING')).rejects.toThrow();
    replica.thaw();
    expect(await replica.call('PING')).toBe('PONG');
  });
});

describeWithServers(['nats'], 'a JetStream cluster of our own', () => {
  let cluster: NatsCluster;
  beforeAll(async () => {
    cluster = await startNatsCluster({ servers: 3 });
  });
  afterAll(() => cluster.stop());

  it('keeps a stream through the death of its leader, and has it back with its files', async () => {
    const connection = await connect({ servers: [...cluster.urls], maxReconnectAttempts: -1 });
    const manager = await jetstreamManager(connection);
    const config = {
      name: 'promise',
      subjects: ['promise.>'],
      num_replicas: 3,
      storage: StorageType.File,
    };
    const isPlaced = () => manager.streams.add(config).then(Boolean, () => false);
    await until(isPlaced, 'the servers hear one another and place a stream', 30_000);
    const js = jetstream(connection);
    expect((await js.publish('promise.1', 'one')).seq).toBe(1);
    const leader = (await cluster.streamLeader('promise'))!;
    await leader.kill();
    const heir = async () => (await cluster.streamLeader('promise')) ?? leader;
    await until(async () => (await heir()) !== leader, 'another server leads the stream', 30_000);
    const publish = () =>
      js.publish('promise.1', 'two', { msgID: 'two', timeout: 1_000 }).catch(() => undefined);
    await until(async () => (await publish())?.seq === 2, 'the stream takes the next message', 30_000);
    await leader.restart();
    await cluster.untilLed();
    // A server that has just come back may answer for the stream before it has caught up.
    const messages = async () => (await manager.streams.info('promise')).state.messages;
    await until(async () => (await messages()) === 2, 'both messages are there', 30_000);
    await connection.close();
  });
});

describe.each(postgresKinds())('a Postgres of our own (%s)', (kind) => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres({ kind });
  });
  afterAll(() => server.discard());

  it('keeps what was committed when it is killed, and its port', async () => {
    const url = await server.createDatabase('money');
    await run(url, 'CREATE TABLE kept AS SELECT 42 AS fen');
    const { pid, port } = server;
    await server.kill();
    await expect(run(url, 'SELECT 1')).rejects.toThrow();
    await server.restart();
    expect(server.pid).not.toBe(pid);
    expect(server.port).toBe(port);
    expect(await run(url, 'SELECT fen FROM kept')).toEqual([{ fen: 42 }]);
  });

  it('is frozen with every session, so that nobody gets an answer, and thaws', async () => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    server.freeze();
    let answered = false;
    const answer = client.query('SELECT 1 AS one').then((result) => {
      answered = true;
      return result.rows;
    });
    await delay(100);
    expect(answered).toBe(false);
    server.thaw();
    expect(await answer).toEqual([{ one: 1 }]);
    await client.end();
  });
});

describe('ports', () => {
  it('are never handed out twice, not even while nobody listens', async () => {
    const ports = await Promise.all(Array.from({ length: 200 }, () => freePort()));
    expect(new Set(ports).size).toBe(200);
    expect(ports.every((port) => port >= 15_000 && port < 31_000)).toBe(true);
  });
});

describeWithServers(['redis', 'nats'], 'whoever started servers and is killed', () => {
  it('leaves no process and no file behind, not even a frozen one', async () => {
    const owner = spawn(process.execPath, ['tools/run.mjs', 'test/support/server-owner.ts'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { pids, folder } = JSON.parse(await firstLineOf(owner)) as { pids: number[]; folder: string };
    expect(pids.every(isAlive)).toBe(true);
    owner.kill('SIGKILL');
    await until(() => !pids.some(isAlive) && !existsSync(folder), 'everything is gone', 20_000);
  });
});

async function firstLineOf(child: ChildProcess): Promise<string> {
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  return line;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function run(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
