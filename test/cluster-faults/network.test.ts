import { setTimeout as delay } from 'node:timers/promises';
import { startTcpProxy, type TcpProxy } from '../../rehearsal/faults/tcp-proxy.ts';
import type { Servers } from '../../tools/cluster/index.ts';
import { startNatsCluster } from '../../tools/services/nats.ts';
import { freePort } from '../../tools/services/ports.ts';
import { type PostgresServer, startPostgres } from '../../tools/services/postgres.ts';
import { startRedisCluster } from '../../tools/services/redis.ts';
import { onACluster, type Round, startForFaultsOn } from './stage.ts';

/** Stretches of network between the engine's processes and its servers, by what lies behind them. */
const lines: Record<'log' | 'shards' | 'control', TcpProxy[]> = { log: [], shards: [], control: [] };

async function proxied(port: number, kind: keyof typeof lines): Promise<number> {
  const proxy = await startTcpProxy({ port: await freePort(), target: { port } });
  lines[kind].push(proxy);
  return proxy.port;
}

/** The server as the engine sees it: behind a proxy. */
async function behind(server: PostgresServer, kind: keyof typeof lines): Promise<PostgresServer> {
  const port = String(await proxied(server.port, kind));
  return Object.assign(Object.create(server) as PostgresServer, {
    url: Object.assign(new URL(server.url), { port }).href,
  });
}

async function serversBehindProxies(): Promise<Servers> {
  const [redis, nats, ...postgres] = await Promise.all([
    startRedisCluster(),
    startNatsCluster({ announce: (port) => proxied(port, 'log') }),
    ...['shard-1', 'shard-2', 'control-database'].map((name) => startPostgres({ name })),
  ]);
  const [first, second, control] = postgres as [PostgresServer, PostgresServer, PostgresServer];
  return {
    redis,
    nats,
    shards: [await behind(first, 'shards'), await behind(second, 'shards')],
    control: await behind(control, 'control'),
    async stop() {
      await Promise.all(Object.values(lines).flatMap((proxies) => proxies.map((proxy) => proxy.close())));
      await Promise.all([redis.stop(), nats.stop(), ...postgres.map((server) => server.discard())]);
    },
  };
}

const cluster = async () => startForFaultsOn(await serversBehindProxies());

const all = (): TcpProxy[] => Object.values(lines).flat();
const some = (round: Round, proxies: readonly TcpProxy[]): TcpProxy[] =>
  proxies.filter(() => round.random() < 0.7);

onACluster(
  'the network between the parts is bad',
  ({ fault }) => {
    fault('200 ms on every stretch: slower, and nothing else', async (round) => {
      for (const proxy of all()) proxy.delay({ toServer: 100, toClient: 100 });
      await round.untilMoreWon(30);
      for (const proxy of all()) proxy.restore();
    });

    fault('connections to the log are cut again and again', async (round) => {
      for (let times = 0; times < 6; times += 1) {
        for (const proxy of some(round, lines.log)) proxy.cut();
        await delay(1_000 * round.random());
        for (const proxy of lines.log) proxy.restore();
        await delay(1_000 * round.random());
      }
    });

    fault('nothing passes to the log, and nobody says so; then all of it arrives', async (round) => {
      for (const proxy of lines.log) proxy.stall();
      await round.untilMoreWon(20);
      for (const proxy of lines.log) proxy.restore();
    });

    fault('answers of the log do not arrive: what was appended is unknown', async (round) => {
      for (const proxy of lines.log) proxy.stall('toClient');
      await round.untilMoreWon(10);
      for (const proxy of lines.log) proxy.restore({ reset: true });
    });

    fault('connections to the shards are cut again and again', async (round) => {
      for (let times = 0; times < 6; times += 1) {
        for (const proxy of some(round, lines.shards)) proxy.cut();
        await delay(1_000 * round.random());
        for (const proxy of lines.shards) proxy.restore();
        await delay(1_000 * round.random());
      }
    });

    fault('COMMITs are done, and their answers lost', async (round) => {
      for (let times = 0; times < 6; times += 1) {
        await Promise.all(
          lines.shards.map((proxy) => proxy.loseReplyTo((chunk) => chunk.includes('COMMIT'))),
        );
        await delay(500 * round.random());
      }
    });

    fault('nothing passes to a shard, and nobody says so; then all of it arrives', async (round) => {
      const proxy = round.oneOf(lines.shards);
      proxy.stall();
      await round.untilMoreWon(20);
      await delay(5_000 * round.random());
      proxy.restore();
    });

    fault('nothing passes to control’s database for longer than leases last', async (round) => {
      for (const proxy of lines.control) proxy.stall();
      await delay(8_000 + 6_000 * round.random());
      for (const proxy of lines.control) proxy.restore();
    });
  },
  cluster,
);
