import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RestorableBook } from '../../src/engines/ports.ts';
import type { RedisClient } from '../../src/engines/redis/client.ts';
import { LIBRARY } from '../../src/engines/redis/functions/index.ts';
import { createGuardedBook, type GuardedBook } from '../../src/guard/guarded-book.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { TOKEN_STATUS } from '../../src/vocabulary/token-status.ts';
import type { RedisCluster, RedisNode } from '../../tools/services.ts';
import { anOrder } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import {
  BUCKETS,
  connected,
  emptied,
  eventually,
  redisBook,
  startTestRedis,
  tagOf,
} from '../support/redis.ts';

const BUCKET_NUMBERS = Array.from({ length: BUCKETS }, (_, bucket) => bucket);
/** Person n lies in bucket n % 16, because 1,000,000 does in bucket 0. */
const orderIn = (bucket: number, nth: number) => anOrder({ person: bucket + BUCKETS * nth });
const entry = (order: Order, sequence = 1) => ({ order, position: { sequence, leafIndex: 0 } });
const CALLS_MAX = 200;
const BYTES_MAX = 1 << 20;
/** The busy machine's other buckets must not be taken for lost ones; what is lost is lost for good here. */
const PATIENT = { callTimeoutMs: 5_000 };
const LIMITS = { callTimeoutMs: 500, callsMax: CALLS_MAX, bytesMax: BYTES_MAX };

describe('Redis Cluster that breaks', () => {
  let cluster: RedisCluster;
  let client: RedisClient;
  let book: RestorableBook;
  beforeAll(async () => {
    cluster = await startTestRedis(1);
  });
  beforeEach(async () => {
    await cluster.untilWhole();
    await emptied(cluster);
    client = await connected(cluster.url, PATIENT);
    book = redisBook(client);
  });
  afterEach(() => client?.close());
  afterAll(() => cluster?.stop());

  /** Records one order after the other in every bucket until told to stop; knows who was refused, and what went in. */
  function load() {
    const faults = BUCKET_NUMBERS.map(() => 0);
    const recorded: Order[] = [];
    let isOver = false;
    const inBucket = async (bucket: number) => {
      for (let nth = 0; !isOver; nth += 1) {
        const order = orderIn(bucket, nth);
        try {
          await book.record([entry(order)]);
          recorded.push(order);
        } catch (error) {
          expect(error).toBeInstanceOf(RetryableFault);
          faults[bucket]! += 1;
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const running = Promise.all(BUCKET_NUMBERS.map(inBucket));
    return {
      faults,
      recorded,
      async stop() {
        isOver = true;
        await running;
      },
    };
  }

  const bucketsOf = async (node: RedisNode): Promise<number[]> => {
    const primaries = await Promise.all(BUCKET_NUMBERS.map((bucket) => cluster.primaryOf(tagOf(bucket))));
    return BUCKET_NUMBERS.filter((bucket) => primaries[bucket] === node);
  };
  const recordEverywhere = (nth: number) =>
    Promise.all(BUCKET_NUMBERS.map((bucket) => eventually(() => book.record([entry(orderIn(bucket, nth))]))));
  const markAll = () =>
    Promise.all(
      BUCKET_NUMBERS.map(async (bucket) => book.markWhole(bucket, (await book.wholeness(bucket)).state)),
    );
  const areWhole = async () =>
    Promise.all(BUCKET_NUMBERS.map(async (bucket) => (await eventually(() => book.wholeness(bucket))).whole));

  it.each([
    ['killed', (node: RedisNode) => node.kill()],
    ['frozen', async (node: RedisNode) => node.freeze()],
  ])(
    'goes on by itself after a primary was %s: a replica takes over, with the functions, and says what it may have forgotten',
    async (_, end) => {
      const lost = await cluster.primaryOf(tagOf(0));
      const theirs = await bucketsOf(lost);
      await markAll();
      const running = load();
      await eventually(async () => expect(running.recorded.length).toBeGreaterThan(200));
      const { actId, phaseKey } = orderIn(0, 2_000_000);
      const turn = await book.takeTurn(actId, phaseKey);
      await end(lost);
      const heir = await eventually(async () => {
        const primary = await cluster.primaryOf(tagOf(0));
        expect(primary.name).not.toBe(lost.name);
        return primary;
      });
      await recordEverywhere(1_000_000);
      await running.stop();
      // A turn may be lost with it, or run out: another process goes on, and who had it sees no error.
      const next = await eventually(() => redisBook(client).takeTurn(actId, phaseKey));
      turn!.giveBack();
      next!.giveBack();

      // The other primaries' buckets felt nothing.
      expect(
        BUCKET_NUMBERS.filter((bucket) => running.faults[bucket]! > 0 && !theirs.includes(bucket)),
      ).toEqual([]);
      expect(JSON.stringify(await heir.call('FUNCTION', 'LIST'))).toContain(LIBRARY);
      expect(await areWhole()).toEqual(BUCKET_NUMBERS.map((bucket) => !theirs.includes(bucket)));

      // Filled again from the log, it is whole, and has what was acknowledged.
      await book.record(running.recorded.map((order) => entry(order)));
      await markAll();
      expect(await areWhole()).toEqual(BUCKET_NUMBERS.map(() => true));
      const found = await Promise.all(
        running.recorded.map((order) => eventually(() => book.outstandingOf(order.actId, order.phaseKey))),
      );
      expect(found.filter((entries) => entries.length === 1)).toHaveLength(running.recorded.length);
      expect(await book.outstandingCount()).toBe(
        running.recorded.length + BUCKETS + (await stragglers(running)),
      );

      // And the old one comes back as a replica, without anybody noticing.
      if (lost.isRunning) lost.thaw();
      else await lost.restart();
      await cluster.untilWhole();
      await recordEverywhere(1_000_001);
      expect(await eventually(() => client.health())).toMatchObject({ reachable: true, primaries: 3 });
    },
  );

  /** Orders that were noted although their call was a fault: "unknown" is not "not done". */
  async function stragglers(running: { recorded: readonly Order[] }): Promise<number> {
    const known = new Set(running.recorded.map((order) => order.orderNumber as string));
    let count = 0;
    for (const bucket of BUCKET_NUMBERS)
      for await (const { order } of book.pendingIn(bucket))
        if (!known.has(order.orderNumber) && order.actId < 16_000_000n) count += 1;
    return count;
  }

  describe('with all of it gone', () => {
    let guarded: GuardedBook;
    beforeEach(async () => {
      await client.close();
      client = await connected(cluster.url, LIMITS);
      book = redisBook(client);
      guarded = createGuardedBook({
        book,
        buckets: BUCKETS,
        random: () => 0.5,
        logger: quiet,
        probeMsFirst: 50,
        probeMsMax: 200,
      });
    });
    afterEach(() => guarded.stop());

    it.each([
      ['killed', (node: RedisNode) => node.kill(), (node: RedisNode) => node.restart()],
      ['frozen', async (node: RedisNode) => node.freeze(), async (node: RedisNode) => node.thaw()],
    ])(
      '(%s) promises are not held up, nothing piles up, and it is used again once it is back',
      async (_, end, begin) => {
        await recordEverywhere(0);
        await Promise.all(cluster.nodes.map(end));

        // Straight to the book: a fault for each, within its time, and never more under way than allowed.
        const wave = Array.from({ length: 5_000 }, (_, nth) =>
          book.record([entry(orderIn(nth % BUCKETS, nth))]),
        );
        expect(client.load().calls).toBeLessThanOrEqual(CALLS_MAX);
        expect(client.load().bytes).toBeLessThanOrEqual(BYTES_MAX);
        for (const result of await Promise.allSettled(wave))
          expect(result).toMatchObject({ status: 'rejected', reason: { kind: 'book-unavailable' } });
        await eventually(async () => expect(client.load()).toEqual({ calls: 0, bytes: 0 }));

        // Through the guard: skipped, and after a few faults not even tried.
        for (let nth = 0; guarded.status().openBuckets.length < BUCKETS; nth += 1)
          await guarded.record(BUCKET_NUMBERS.map((bucket) => entry(orderIn(bucket, nth))));
        const before = guarded.status().skipped.record;
        await guarded.record(BUCKET_NUMBERS.map((bucket) => entry(orderIn(bucket, 77))));
        expect(guarded.status().skipped.record).toBe(before + BUCKETS);
        await expect(guarded.winsOf(orderIn(0, 0).actId, orderIn(0, 0).phaseKey)).rejects.toMatchObject({
          kind: 'book-unavailable',
        });

        await Promise.all(cluster.nodes.map(begin));
        await eventually(async () =>
          expect(guarded.status()).toMatchObject({ openBuckets: [], untoldBuckets: [] }),
        );
        expect(await areWhole()).toEqual(BUCKET_NUMBERS.map(() => false));
        const order = orderIn(0, 5_000);
        await eventually(async () => {
          await guarded.record([entry(order)]);
          expect(await guarded.outstandingOf(order.actId, order.phaseKey)).toHaveLength(1);
        });
        await guarded.advance([order], TOKEN_STATUS.credited);
        expect(await book.outstandingOf(order.actId, order.phaseKey)).toEqual([]);
      },
    );
  });
});
