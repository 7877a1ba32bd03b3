import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLocalSignals } from '../../src/engines/embedded/signals.ts';
import { createHttpPollSignals } from '../../src/engines/http-poll/signals.ts';
import { openNatsSignals } from '../../src/engines/jetstream/signals.ts';
import type { Signals } from '../../src/engines/ports.ts';
import { createRedisSignals } from '../../src/engines/redis/signals.ts';
import { startTestNats } from '../support/nats.ts';
import { quiet } from '../support/postgres.ts';
import { connected, startTestRedis } from '../support/redis.ts';
import { describeWithServers } from '../support/servers.ts';
import { signalsContract } from './signals.contract.ts';

signalsContract('one process', async () => {
  const way = createLocalSignals();
  return { control: way, reader: async () => way, close: way.close };
});

/** Control's route, as src/control/announcement-http.ts answers. */
signalsContract('HTTP', async () => {
  let newest: { sequence: number; envelope: Uint8Array } | undefined;
  const server = createServer((request, response) => {
    const etag = `"${newest?.sequence}"`;
    if (request.headers.authorization !== 'Bearer secret') response.writeHead(401).end();
    else if (!newest) response.writeHead(404).end();
    else if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.writeHead(200, { etag }).end(newest.envelope);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const readers: Signals[] = [];
  return {
    control: {
      ...createLocalSignals(),
      async publish(envelope, sequence) {
        if (sequence > (newest?.sequence ?? 0)) newest = { sequence, envelope };
      },
    },
    async reader() {
      const reader = createHttpPollSignals({ url, bearer: 'secret', intervalMs: 10 });
      readers.push(reader);
      return reader;
    },
    async close() {
      await Promise.all(readers.map((reader) => reader.close()));
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
});

describeWithServers(['redis'], 'with Redis Cluster', () =>
  signalsContract('Redis', async () => {
    const cluster = await startTestRedis();
    const clients = await Promise.all([connected(cluster.url), connected(cluster.url)]);
    const [control, reader] = clients.map((client) =>
      createRedisSignals({ client, space: 'test', logger: quiet, pollMs: 50 }),
    );
    return {
      control: control!,
      reader: async () => reader!,
      async close() {
        await reader!.close();
        await Promise.all(clients.map((client) => client.close()));
        await cluster.stop();
      },
    };
  }),
);

describeWithServers(['nats'], 'with JetStream', () =>
  signalsContract('NATS', async () => {
    const server = await startTestNats();
    const links = await Promise.all([server.link(), server.link()]);
    const [control, reader] = await Promise.all(
      links.map((link) => openNatsSignals({ link, space: 'test', replicas: 1 })),
    );
    return {
      control: control!,
      reader: async () => reader!,
      async close() {
        await reader!.close();
        await server.stop();
      },
    };
  }),
);
