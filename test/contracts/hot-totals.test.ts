import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createMemoryHotTotals } from '../../src/engines/embedded/hot-totals.ts';
import type { HotTotal } from '../../src/engines/ports.ts';
import type { RedisClient } from '../../src/engines/redis/client.ts';
import { TURN_MS_MAX } from '../../src/engines/redis/hot-totals.ts';
import { createTotalsExchange } from '../../src/engines/redis/totals-exchange.ts';
import { createTotalsServer, type TotalsServer } from '../../src/engines/redis/totals-server.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { type RedisCluster, startRedisCluster } from '../../tools/services.ts';
import { quiet } from '../support/postgres.ts';
import { connected, emptied } from '../support/redis.ts';
import { aTotal, PHASE, serverOn, totalsOn } from '../support/totals.ts';
import { hotTotalsContract } from './hot-totals.contract.ts';

hotTotalsContract({ name: 'totals in memory', make: () => createMemoryHotTotals() });

let redis: RedisCluster;
let client: RedisClient;
let server: TotalsServer;

beforeAll(async () => {
  redis = await startRedisCluster({ primaries: 1, replicas: 0 });
  client = await connected(redis.url);
  server = serverOn(client);
});
afterAll(async () => {
  await client?.close();
  await redis?.stop();
});

hotTotalsContract({
  name: 'totals on Redis',
  fresh: () => emptied(redis),
  make: (instance) => totalsOn([server], instance),
});

describe('the conversation with Redis, turn by turn', () => {
  beforeEach(() => emptied(redis));
  const exchangeOf = (instance: string, servers: readonly TotalsServer[] = [server]) =>
    createTotalsExchange({ servers, instance, logger: quiet });

  test('what one gives, another shows after one turn of each: at most a second', async () => {
    const giver = exchangeOf('giver');
    const looker = exchangeOf('looker');
    looker.shown(PHASE);
    await looker.turn(0);
    expect(looker.shown(PHASE)).toEqual(aTotal(0, 0));
    giver.add(PHASE, aTotal(700, 2));
    await giver.turn(0);
    await looker.turn(0);
    expect(looker.shown(PHASE)).toEqual(aTotal(700, 2));
    expect(2 * TURN_MS_MAX).toBeLessThan(1_000);
  });

  test('a sum that is told again after its answer was lost counts once, and so does an older one', async () => {
    const answerless: TotalsServer = {
      ...server,
      tell: async (...args) => {
        await server.tell(...args);
        throw new RetryableFault('book-unavailable', 'the answer was lost', 1);
      },
    };
    const giver = exchangeOf('giver', [answerless]);
    giver.add(PHASE, aTotal(100, 1));
    await giver.turn(0);
    giver.add(PHASE, aTotal(10, 1));
    await giver.turn(0);
    await giver.turn(0);
    expect(giver.status()).toMatchObject({ untold: 1, away: ['primary'] });
    expect(await server.look(PHASE)).toEqual(aTotal(110, 2));
    expect(await server.tell(PHASE, [{ who: 'giver', sum: aTotal(100, 1) }])).toEqual(aTotal(110, 2));
  });

  test('the function adds the sums of many at once, some known and some new', async () => {
    await server.tell(PHASE, [{ who: 'a', sum: aTotal(5, 1) }]);
    const sums = [
      { who: 'a', sum: aTotal(9, 2) },
      { who: 'b', sum: aTotal(0, 3) },
      { who: '=east', sum: aTotal(8, 9) },
      { who: 'a', sum: aTotal(9, 2) },
    ];
    // Of each part the larger kind: told by instances, or credited.
    expect(await server.tell(PHASE, sums)).toEqual(aTotal(9, 9));
    const told = [];
    for await (const some of server.told(PHASE)) told.push(...some);
    expect(told.sort((a, b) => (a.who < b.who ? -1 : 1))).toEqual([
      { who: '=east', sum: aTotal(8, 9) },
      { who: 'a', sum: aTotal(9, 2) },
      { who: 'b', sum: aTotal(0, 3) },
    ]);
  });

  test('who has nothing new to tell asks for one key, and of the backup nothing at all', async () => {
    const calls: string[] = [];
    const counted = (name: string): TotalsServer => ({
      ...server,
      look: (...args) => {
        calls.push(`${name} look`);
        return server.look(...args);
      },
      tell: (...args) => {
        calls.push(`${name} tell`);
        return server.tell(...args);
      },
    });
    const reader = exchangeOf('reader', [counted('primary'), counted('backup')]);
    reader.shown(PHASE);
    for (let turn = 0; turn < 3; turn += 1) await Promise.all([reader.turn(0), reader.turn(1)]);
    expect(calls).toEqual(['primary look', 'backup look', 'primary look', 'primary look']);
  });

  test('the first look waits for data, and says honestly when none came', async () => {
    const silent: TotalsServer = { ...server, look: () => new Promise(() => {}) };
    const waits = totalsOn([silent], 'waits', 50);
    await expect(waits.read(PHASE)).rejects.toMatchObject({ kind: 'totals-unavailable' });
    let answer = (_total: HotTotal): void => {};
    const answered = new Promise<HotTotal>((resolve) => {
      answer = resolve;
    });
    const late = totalsOn([{ ...server, look: () => answered }], 'late');
    const first = late.read(PHASE);
    await new Promise(setImmediate);
    answer(aTotal(3, 1));
    expect(await first).toEqual(aTotal(3, 1));
    await late.close();
  });

  test('a phase of one cluster shares nothing with that of another', async () => {
    await server.tell(PHASE, [{ who: 'a', sum: aTotal(5, 1) }]);
    expect(await createTotalsServer(client, 'drill').look(PHASE)).toEqual(aTotal(0, 0));
  });
});
