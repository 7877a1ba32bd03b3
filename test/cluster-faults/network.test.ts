import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { startTcpProxy, type TcpProxy, type Weather } from '../../rehearsal/faults/tcp-proxy.ts';
import type { Servers } from '../../tools/cluster/index.ts';
import { startNatsCluster } from '../../tools/services/nats.ts';
import { freePort } from '../../tools/services/ports.ts';
import { type PostgresServer, startPostgres } from '../../tools/services/postgres.ts';
import { startProxiedRedisCluster } from '../support/proxied.ts';
import { aPhone } from './phone.ts';
import { onACluster, type Round, startForFaultsOn } from './stage.ts';

/** Stretches of network between the engine's processes and its servers, by what lies behind them. */
const lines: Record<'log' | 'shards' | 'control', TcpProxy[]> = { log: [], shards: [], control: [] };

/** The first gateway dials from an address of its own, so its way to Redis can be bad while everybody else's is well. */
const LONELY = 'gateway-1';
const LONELY_DIALS_FROM = '127.0.9.1';
const itsWayToTheBook: Weather[] = [];

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
    startProxiedRedisCluster(),
    startNatsCluster({ announce: (port) => proxied(port, 'log') }),
    ...['shard-1', 'shard-2', 'control-database'].map((name) => startPostgres({ name })),
  ]);
  for (const node of redis.nodes)
    itsWayToTheBook.push(redis.networks.clientsOf(node).from(LONELY_DIALS_FROM));
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

const cluster = async () =>
  startForFaultsOn(await serversBehindProxies(), {
    envOf: (name): Record<string, string> =>
      name === LONELY
        ? {
            NODE_OPTIONS: `--import ${new URL('../support/dial-from.mjs', import.meta.url).href}`,
            DIAL_FROM: LONELY_DIALS_FROM,
          }
        : {},
  });

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

    // These come last: an order may be sealed twice from here on.
    const alone = { peopleMoveOn: true, mayReseal: true };

    fault(
      'one gateway alone is cut off from the book: nobody is shown less than they were told',
      async (round) => {
        const { cluster } = round;
        // What is not credited yet is known to the book, or to the phone alone.
        await cluster.command('credit-rate', '0');
        for (const way of itsWayToTheBook) way[round.oneOf(['cut', 'stall'] as const)]();
        for (let person = 0; person < 3; person += 1) {
          const phone = aPhone(cluster, `lonely-${round.seed}-${person}`);
          await phone.win(2);
          const seen = (await phone.wallet())?.body;
          if (seen?.complete !== false) expect(seen?.balanceFen).toBe(phone.toldFen());
          expect((await phone.wallet(true))?.body).toMatchObject({ balanceFen: phone.toldFen() });
        }
        await cluster.command('credit-rate', 'off');
        await round.untilMoreWon(20);
        for (const way of itsWayToTheBook) way.restore();
      },
      alone,
    );

    fault(
      'a gateway that was cut off from the book dies, and its people go to the other one',
      async (round) => {
        const lonely = round.cluster.of('gateway')[0]!;
        for (let times = 0; times < 3; times += 1) {
          for (const way of itsWayToTheBook) way.cut();
          await round.untilMoreWon(10);
          await lonely.kill();
          await round.untilMoreWon(5);
          for (const way of itsWayToTheBook) way.restore();
          await lonely.restart();
          await lonely.untilReady();
        }
      },
      alone,
    );

    fault(
      'one gateway’s way to the book takes 200 ms, and breaks again and again',
      async (round) => {
        for (const way of itsWayToTheBook) way.delay({ toServer: 100, toClient: 100 });
        for (let times = 0; times < 4; times += 1) {
          await round.untilMoreWon(10);
          for (const way of itsWayToTheBook) if (round.random() < 0.7) way.cut();
          await delay(2_000 * round.random());
          for (const way of itsWayToTheBook) {
            way.restore();
            way.delay({ toServer: 100, toClient: 100 });
          }
        }
        for (const way of itsWayToTheBook) way.restore();
      },
      alone,
    );
  },
  cluster,
);
