import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RestorableBook } from '../../src/engines/ports.ts';
import type { RedisClient } from '../../src/engines/redis/client.ts';
import { passFence } from '../../src/rules/fences.ts';
import { createBookkeeper } from '../../src/stations/5-credit/bookkeeper.ts';
import { bucketOf } from '../../src/vocabulary/bucket.ts';
import type { PhaseKey } from '../../src/vocabulary/ids.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { TOKEN_STATUS } from '../../src/vocabulary/token-status.ts';
import type { RedisCluster } from '../../tools/services.ts';
import { anOrder } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { BUCKETS, connected, emptied, redisBook, startTestRedis } from '../support/redis.ts';
import { type Promises, type Rig, startRig, testClock } from '../support/rig.ts';
import { creditAll } from '../support/stations.ts';

const LIVE = 3 as PhaseKey;
const BUCKET = bucketOf(anOrder({ person: 0 }).actId, BUCKETS);

describe('the bookkeeper', () => {
  let rig: Rig;
  let cluster: RedisCluster;
  let client: RedisClient;
  let book: RestorableBook;
  let promises: Promises;
  let promisedAgain: Order[];
  let journals = 0;
  let people = 0;

  beforeAll(async () => {
    [rig, cluster] = await Promise.all([startRig(), startTestRedis()]);
    client = await connected(cluster.url);
    book = redisBook(client);
  });
  afterAll(async () => {
    await client?.close();
    await Promise.all([rig?.stop(), cluster?.stop()]);
  });
  beforeEach(async () => {
    await emptied(cluster);
    journals += 1;
    promises = await rig.journal(`bookkeeper-${journals}`);
    promisedAgain = [];
  });

  const newOrders = (count: number, slice = 7): Order[] =>
    Array.from({ length: count }, () => {
      people += 1;
      return anOrder({ person: people * BUCKETS, slice, index: people });
    });

  const bookkeeper = (calmMs = 0) =>
    createBookkeeper({
      calmMs,
      bucket: BUCKET,
      log: promises.log,
      reader: promises.log,
      book,
      ledger: rig.ledger,
      fences: promises.fences,
      promise: async (order) => promisedAgain.push(order),
      logger: quiet,
    });

  const noted = async (orders: readonly Order[]): Promise<void> => {
    const sequence = await promises.promise(orders);
    await book.record(orders.map((order, leafIndex) => ({ order, position: { sequence, leafIndex } })));
  };

  async function drained(): Promise<void> {
    await creditAll({ ...promises, book }, rig.ledger, testClock());
  }

  const outstanding = async (order: Order): Promise<string[]> =>
    (await book.outstandingOf(order.actId, LIVE)).map((entry) => entry.order.orderNumber);

  it('has nothing to do where nothing is missing', async () => {
    await bookkeeper().sweepOnce();
    await noted(newOrders(20));
    expect(await bookkeeper().sweepOnce()).toEqual({ refilled: 0, settled: 0, repromised: 0 });
    await drained();
    expect(await bookkeeper().sweepOnce()).toEqual({ refilled: 0, settled: 0, repromised: 0 });
  });

  it('calls the book of an empty log whole at once, and waits for calm where something may come to light', async () => {
    const foreverMs = 3_600_000;
    await bookkeeper(foreverMs).sweepOnce();
    expect(await book.wholeness(BUCKET)).toMatchObject({ whole: true });
    await noted(newOrders(1));
    await book.tear(BUCKET);
    const patient = bookkeeper(foreverMs);
    const sweeping = patient.sweepOnce();
    for (let look = 0; look < 50; look += 1)
      expect(await book.wholeness(BUCKET)).toMatchObject({ whole: false });
    await patient.stop();
    expect((await sweeping).refilled).toBe(0);
  });

  it('fills a book again that has forgotten, with what waits and what is credited', async () => {
    const [credited, waiting] = [newOrders(30), newOrders(30)];
    await noted(credited);
    await drained();
    await noted(waiting);
    await emptied(cluster);
    expect(await bookkeeper().sweepOnce()).toEqual({ refilled: 60, settled: 0, repromised: 0 });
    expect(await outstanding(credited[0]!)).toEqual([]);
    expect(await outstanding(waiting[0]!)).toEqual([waiting[0]!.orderNumber]);
    expect(await book.winsOf(credited[0]!.actId, LIVE)).toHaveLength(1);
    expect(await bookkeeper().sweepOnce()).toEqual({ refilled: 0, settled: 0, repromised: 0 });
  });

  it('leaves out of a book what stands behind its slice’s fence', async () => {
    const [before, behind] = [newOrders(2, 41), newOrders(2, 41)];
    await promises.promise(before);
    await promises.log.appendFence(before[0]!.unit);
    await promises.promise(behind);
    expect((await bookkeeper().sweepOnce()).refilled).toBe(2);
    expect(await outstanding(behind[0]!)).toEqual([]);
  });

  it('notes what was credited without the log and replayed behind its slice’s fence: it was won', async () => {
    const [won, void_] = newOrders(2, 43);
    await rig.ledger.creditUnlogged([won!]);
    await promises.log.appendFence(won!.unit);
    await promises.promise([won!, void_!]);
    await bookkeeper().sweepOnce();
    expect(await outstanding(won!)).toEqual([]);
    expect(await book.winsOf(won!.actId, LIVE)).toMatchObject([{ orderNumber: won!.orderNumber }]);
    expect(await book.winsOf(void_!.actId, LIVE)).toEqual([]);
  });

  it('takes out of the book what was credited behind its back', async () => {
    await bookkeeper().sweepOnce();
    const orders = newOrders(5);
    await noted(orders);
    await drained();
    // As if the book had been away when it was credited.
    await emptied(cluster);
    await bookkeeper().sweepOnce();
    await book.record(orders.map((order) => ({ order, position: { sequence: 1, leafIndex: 0 } })));
    const late = newOrders(1);
    const sequence = await promises.promise(late);
    await rig.ledger.credit(late);
    await promises.log.acknowledge(sequence);
    await book.record([{ order: late[0]!, position: { sequence, leafIndex: 0 } }]);
    expect((await bookkeeper().sweepOnce()).settled).toBe(1);
    expect(await outstanding(late[0]!)).toEqual([]);
  });

  it('promises anew what was read past and is neither credited nor void, and settles what is void', async () => {
    await bookkeeper().sweepOnce();
    const [skipped, before, behind] = [newOrders(1, 51), newOrders(1, 52), newOrders(1, 52)];
    const sequence = await promises.promise(skipped);
    await promises.promise(before);
    const fence = await promises.log.appendFence(before[0]!.unit);
    passFence(promises.fences, before[0]!.unit.sliceId, 1, fence);
    const void_ = await promises.promise(behind);
    await rig.ledger.credit(before);
    await promises.log.acknowledge(void_);
    await book.record([
      { order: skipped[0]!, position: { sequence, leafIndex: 0 } },
      { order: behind[0]!, position: { sequence: void_, leafIndex: 0 } },
    ]);
    expect(await bookkeeper().sweepOnce()).toMatchObject({ settled: 1, repromised: 1 });
    expect(promisedAgain).toEqual(skipped);
    expect(await outstanding(behind[0]!)).toEqual([]);
  });

  it('promises anew what the book has and the log has lost', async () => {
    await bookkeeper().sweepOnce();
    const [kept, lost, displaced] = newOrders(3);
    await noted([kept!]);
    await book.record([{ order: lost!, position: { sequence: 900, leafIndex: 0 } }]);
    // Its place is taken by another record, as in a stream that was begun anew.
    await book.record([{ order: displaced!, position: { sequence: 1, leafIndex: 0 } }]);
    expect((await bookkeeper().sweepOnce()).repromised).toBe(2);
    expect(promisedAgain.map((order) => order.orderNumber).sort()).toEqual(
      [lost!.orderNumber, displaced!.orderNumber].sort(),
    );
    expect(await outstanding(kept!)).toEqual([kept!.orderNumber]);
  });

  it('tells the book where everything stands in a log that was made anew, and nothing of what is void', async () => {
    const [credited, lateWin] = [newOrders(1, 61)[0]!, newOrders(1, 62)[0]!];
    // Void, and its number was won later, from another slice.
    const [never, before] = [
      newOrders(1, 61)[0]!,
      { ...lateWin, unit: { ...lateWin.unit, sliceId: credited.unit.sliceId } },
    ];
    const waiting = newOrders(1, 63)[0]!;
    await rig.ledger.credit([credited, lateWin]);
    const at = (sequence: number, leafIndex = 0) => ({ sequence, leafIndex });
    await book.record([credited, lateWin].map((order) => ({ order, position: at(1) })));
    await book.advance([credited, lateWin], TOKEN_STATUS.credited);
    await book.record([{ order: waiting, position: at(2) }]);
    await promises.log.appendFence(credited.unit);
    await promises.log.appendFence(lateWin.unit);
    await promises.promise([before, never, credited]);
    await promises.promise([waiting, lateWin]);
    const base = 1_795_000_000_000;
    let compared = 0;
    const anew = createBookkeeper({
      bucket: BUCKET,
      log: {
        at: async (place) => ({ ...(await promises.log.at(place - base)), sequence: place }),
      },
      reader: {
        begin: () => base + 1,
        end: () => base + 4,
        drained: () => base,
        compared: () => {
          compared += 1;
        },
      },
      book,
      ledger: rig.ledger,
      fences: promises.fences,
      promise: async (order) => promisedAgain.push(order),
      logger: quiet,
    });
    expect(await anew.sweepOnce()).toEqual({ refilled: 3, settled: 0, repromised: 0 });
    expect(compared).toBe(1);
    const wins = await Promise.all(
      [credited, lateWin, waiting, never].map((order) => book.winsOf(order.actId, LIVE)),
    );
    expect(wins.map((some) => some.map(({ position }) => position))).toEqual([
      [at(base + 3, 2)],
      [at(base + 4, 1)],
      [at(base + 4)],
      [],
    ]);
    expect(await book.outstandingOf(waiting.actId, LIVE)).toMatchObject([{ position: at(base + 4) }]);
    expect(await book.outstandingCount()).toBe(1);
    expect(promisedAgain).toEqual([]);
  });

  it('does not take for whole what missed something while it was filled', async () => {
    await noted(newOrders(3));
    await book.tear(BUCKET);
    const torn: RestorableBook = {
      ...book,
      record: async (entries) => {
        const news = await book.record(entries);
        await book.tear(BUCKET);
        return news;
      },
    };
    const keeper = createBookkeeper({
      bucket: BUCKET,
      log: promises.log,
      reader: promises.log,
      book: torn,
      ledger: rig.ledger,
      fences: promises.fences,
      promise: async () => {},
      logger: quiet,
    });
    await expect(keeper.sweepOnce()).rejects.toThrow('missed something');
    expect((await book.wholeness(BUCKET)).whole).toBe(false);
    expect((await bookkeeper().sweepOnce()).refilled).toBe(3);
    await book.advance([], TOKEN_STATUS.credited);
  });
});
