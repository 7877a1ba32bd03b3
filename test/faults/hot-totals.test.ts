import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HotTotal } from '../../src/engines/ports.ts';
import type { RedisClient } from '../../src/engines/redis/client.ts';
import { createTotalsExchange, type TotalsExchange } from '../../src/engines/redis/totals-exchange.ts';
import type { TotalsServer } from '../../src/engines/redis/totals-server.ts';
import { plus } from '../../src/rules/hot-total.ts';
import { seeded, testSeed } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { startProxiedRedisCluster } from '../support/proxied.ts';
import { connected, emptied, eventually } from '../support/redis.ts';
import { aTotal, PHASE, serverOn } from '../support/totals.ts';

type Proxied = Awaited<ReturnType<typeof startProxiedRedisCluster>>;
const PRIMARY = 0;
const BACKUP = 1;
/** Long enough for a busy machine at rest, short enough that a silent server does not hold the test up. */
const CALL_TIMEOUT_MS = 300;
const INSTANCES = 6;
const STEPS = 250;

/** A process: what it gave and had not told, and what it knows of the others, is gone when it dies. */
interface Instance {
  readonly name: string;
  boots: number;
  exchange: TotalsExchange;
  /** What its readers saw last. */
  seen: HotTotal;
}

describe('totals while Redis, networks and instances break', () => {
  let redis: Proxied[];
  let clients: RedisClient[];
  let servers: TotalsServer[];
  beforeAll(async () => {
    redis = await Promise.all(
      [PRIMARY, BACKUP].map(() => startProxiedRedisCluster({ primaries: 1, replicas: 0 })),
    );
    clients = await Promise.all(
      redis.map(({ url }) =>
        connected(url, { callTimeoutMs: CALL_TIMEOUT_MS, connectTimeoutMs: CALL_TIMEOUT_MS }),
      ),
    );
    servers = clients.map(serverOn);
  });
  afterAll(async () => {
    await Promise.all((clients ?? []).map((client) => client.close()));
    await Promise.all((redis ?? []).map((one) => one.stop()));
  });

  const node = (server: number) => redis[server]!.nodes[0]!;
  const network = (server: number) => redis[server]!.networks.clientsOf(node(server));
  const newExchange = (name: string) => createTotalsExchange({ servers, instance: name, logger: quiet });
  const start = (name: string): Instance => {
    const instance = { name, boots: 1, exchange: newExchange(name), seen: aTotal(0, 0) };
    instance.exchange.shown(PHASE);
    return instance;
  };
  /** As after SIGKILL: it is somebody new, and knows nothing. */
  function restart(instance: Instance): void {
    instance.boots += 1;
    instance.exchange = newExchange(`${instance.name}-${instance.boots}`);
    instance.seen = aTotal(0, 0);
  }
  function give(instance: Instance, money: number): void {
    instance.exchange.add(PHASE, aTotal(money, 1));
  }
  function look(instance: Instance, given: HotTotal): void {
    const shown = instance.exchange.shown(PHASE);
    if (!shown) return;
    expect(shown.fen).toBeGreaterThanOrEqual(instance.seen.fen);
    expect(shown.packets).toBeGreaterThanOrEqual(instance.seen.packets);
    expect(shown.fen).toBeLessThanOrEqual(given.fen);
    expect(shown.packets).toBeLessThanOrEqual(given.packets);
    instance.seen = shown;
  }
  const turnAll = (instances: readonly Instance[]) =>
    Promise.all(instances.flatMap(({ exchange }) => [exchange.turn(PRIMARY), exchange.turn(BACKUP)]));
  const fresh = () => Promise.all(redis.map(emptied));
  const answered = (server: number) => eventually(() => servers[server]!.look(PHASE));

  /** Turns until everybody shows, and both servers have, exactly what was given. */
  const untilAtRest = (living: readonly Instance[], given: HotTotal) =>
    eventually(async () => {
      await turnAll(living);
      for (const instance of living) {
        look(instance, given);
        expect(instance.exchange.shown(PHASE)).toEqual(given);
      }
      for (const server of servers) expect(await server.look(PHASE)).toEqual(given);
    });

  test('whatever breaks and whoever dies, the total is what was given, and no reader ever sees less than before', async () => {
    await fresh();
    const random = seeded(testSeed('hot totals faults'));
    const below = (count: number): number => Math.floor(random() * count);
    const instances = Array.from({ length: INSTANCES }, (_, at) => start(`instance-${at}`));
    let given = aTotal(0, 0);
    /** What each database of the ledger will have credited, some time; and who looks, at whatever moment. */
    const ledger = { east: aTotal(0, 0), west: aTotal(0, 0) };
    const credit = (who: Instance): void => {
      for (const [database, sum] of Object.entries(ledger)) who.exchange.confirm(PHASE, database, sum);
    };
    const happened = new Map<string, number>();
    const under = new Set<Promise<void>>();

    const events: readonly [weight: number, name: string, act: () => void | Promise<void>][] = [
      [1, 'stalled', () => network(below(2)).stall((['both', 'toServer', 'toClient'] as const)[below(3)]!)],
      [2, 'cut', () => network(below(2)).restore({ reset: true })],
      [2, 'calm', () => [PRIMARY, BACKUP].forEach((server) => void network(server).restore())],
      [2, 'instance killed', () => restart(instances[below(INSTANCES)]!)],
      [1, 'a server came back empty', async () => void (await node(below(2)).call('FLUSHALL'))],
      [2, 'credited', () => credit(instances[below(INSTANCES)]!)],
      [
        1,
        'reply lost',
        () => {
          network(PRIMARY).restore();
          void network(PRIMARY).loseReplyTo((chunk) => chunk.includes('FCALL') || chunk.includes('fcall'));
        },
      ],
    ];
    const hat = events.flatMap(([weight, ...event]) => Array.from({ length: weight }, () => event));

    for (let step = 0; step < STEPS; step += 1) {
      for (let times = 0; times < 5; times += 1) {
        const instance = instances[below(INSTANCES)]!;
        const money = below(500);
        given = plus(given, aTotal(money, 1));
        const database = (['east', 'west'] as const)[below(2)]!;
        ledger[database] = plus(ledger[database], aTotal(money, 1));
        give(instance, money);
      }
      const turning = turnAll([instances[below(INSTANCES)]!]).then(() => {});
      under.add(turning);
      void turning.finally(() => under.delete(turning));
      if (under.size > 8) await Promise.race(under);
      if (below(6) === 0) {
        const [name, act] = hat[below(hat.length)]!;
        happened.set(name, (happened.get(name) ?? 0) + 1);
        await act();
      }
      for (const instance of instances) look(instance, given);
    }
    await Promise.all(under);
    for (const server of [PRIMARY, BACKUP]) network(server).restore({ reset: true });
    expect(happened.size).toBeGreaterThan(3);
    // All is credited by now; one process looks, and it is not the one that gave.
    credit(instances[below(INSTANCES)]!);
    await untilAtRest(instances, given);
  });

  test('the primary dies: the backup is read, the numbers go on; back and empty, it is told again, the dead included', async () => {
    await fresh();
    const [one, other, dead] = ['one', 'other', 'dead'].map(start) as [Instance, Instance, Instance];
    give(dead, 1_000);
    give(one, 50);
    await untilAtRest([one, other, dead], aTotal(1_050, 2));
    // `dead` never comes back: what it gave is known to the two servers alone.
    const living = [one, other];

    await node(PRIMARY).kill();
    give(one, 7);
    await eventually(async () => {
      await turnAll(living);
      look(other, aTotal(1_057, 3));
      expect(other.exchange.shown(PHASE)).toEqual(aTotal(1_057, 3));
    });
    expect(other.exchange.status()).toMatchObject({ away: ['primary'] });

    await node(PRIMARY).restart();
    await node(PRIMARY).call('FLUSHALL');
    await answered(PRIMARY);
    // One that comes now, and knows nothing, is not fooled by the empty one.
    const newcomer = start('newcomer');
    await turnAll([newcomer]);
    look(newcomer, aTotal(1_057, 3));
    expect(newcomer.seen).toEqual(aTotal(1_057, 3));
    await untilAtRest([...living, newcomer], aTotal(1_057, 3));
  });

  test('a server that is set back to an hour ago heals by itself, and so does a backup that was emptied', async () => {
    await fresh();
    const instances = ['one', 'other'].map(start);
    for (const instance of instances) give(instance, 10);
    await untilAtRest(instances, aTotal(20, 2));
    const keys = ['{test}total7', '{test}told7'];
    const old = await Promise.all(
      keys.map(async (key) => (await node(PRIMARY).call('HGETALL', key)) as string[]),
    );
    for (const instance of instances) give(instance, 500);
    await untilAtRest(instances, aTotal(1_020, 4));

    for (const [at, key] of keys.entries()) await node(PRIMARY).call('HSET', key, ...old[at]!);
    expect(await servers[PRIMARY]!.look(PHASE)).toEqual(aTotal(20, 2));
    await untilAtRest(instances, aTotal(1_020, 4));
    await node(BACKUP).call('FLUSHALL');
    await untilAtRest(instances, aTotal(1_020, 4));
  });

  test('what an instance had told nobody when it was killed is shown once it is credited, and once', async () => {
    await fresh();
    const one = start('one');
    const other = start('other');
    give(one, 20);
    await untilAtRest([one, other], aTotal(20, 1));
    give(one, 300);
    restart(one);
    await untilAtRest([one, other], aTotal(20, 1));
    give(one, 5);
    await untilAtRest([one, other], aTotal(25, 2));
    for (const who of [one, other]) who.exchange.confirm(PHASE, 'east', aTotal(325, 3));
    await untilAtRest([one, other], aTotal(325, 3));
  });

  test('when both servers have lost everything, and nobody lives who gave it, the ledger knows', async () => {
    await fresh();
    const one = start('one');
    give(one, 300);
    await untilAtRest([one], aTotal(300, 1));
    await fresh();
    restart(one);
    give(one, 1);
    one.exchange.confirm(PHASE, 'east', aTotal(300, 1));
    one.exchange.confirm(PHASE, 'west', aTotal(1, 1));
    await untilAtRest([one], aTotal(301, 2));
  });

  test('play never waits: giving and looking are answered from memory while no server answers', async () => {
    await fresh();
    const one = start('one');
    await untilAtRest([one], aTotal(0, 0));
    for (const server of [PRIMARY, BACKUP]) network(server).stall();
    const turning = turnAll([one]);
    for (let at = 0; at < 1_000; at += 1) give(one, 1);
    expect(one.exchange.shown(PHASE)).toEqual(aTotal(1_000, 1_000));
    for (const server of [PRIMARY, BACKUP]) network(server).restore();
    await turning;
    await untilAtRest([one], aTotal(1_000, 1_000));
  });
});
