import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RestorableBook } from '../../src/engines/ports.ts';
import type { RedisClient } from '../../src/engines/redis/client.ts';
import { createRedisTokenBook } from '../../src/engines/redis/token-book.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { createBookRefill } from '../../src/stations/5-credit/book-refill.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { TOKEN_STATUS } from '../../src/vocabulary/token-status.ts';
import type { RedisCluster } from '../../tools/services.ts';
import { anOrder } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { connected, emptied, eventually, startTestRedis } from '../support/redis.ts';
import { openPromises, type Promises } from '../support/rig.ts';

const BUCKET = 0;
const RECORDS = 100;
const ORDERS_A_RECORD = 5;

describe('the care for the book of a bucket', () => {
  let cluster: RedisCluster;
  let client: RedisClient;
  let book: RestorableBook;
  let folder: string;
  let log: Promises;
  beforeAll(async () => {
    cluster = await startTestRedis();
    client = await connected(cluster.url);
    book = createRedisTokenBook({ client, space: 'refill', buckets: 1, winsTtlMs: () => 3_600_000 });
  });
  beforeEach(async () => {
    await emptied(cluster);
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-refill-'));
    log = await openPromises(folder);
  });
  afterEach(async () => {
    await log.log.close();
    rmSync(folder, { recursive: true, force: true });
  });
  afterAll(async () => {
    await client?.close();
    await cluster?.stop();
  });

  const refillOf = (of: Partial<RestorableBook> = {}, at = log.log.at) =>
    createBookRefill({
      bucket: BUCKET,
      book: { ...book, ...of },
      log: { at },
      reader: log.log,
      logger: quiet,
      lookEveryMs: 20,
    });
  const promiseMany = async (): Promise<Order[]> => {
    const orders = Array.from({ length: RECORDS * ORDERS_A_RECORD }, (_, person) => anOrder({ person }));
    const batches = Array.from({ length: RECORDS }, (_, at) =>
      orders.slice(at * ORDERS_A_RECORD, (at + 1) * ORDERS_A_RECORD),
    );
    await Promise.all(batches.map((batch) => log.promise(batch)));
    return orders;
  };
  const isWhole = async () => (await book.wholeness(BUCKET)).whole;
  const pending = async () => {
    const numbers = new Set<string>();
    for await (const { order } of book.pendingIn(BUCKET)) numbers.add(order.orderNumber);
    return numbers;
  };
  const numbersOf = (orders: readonly Order[]) => new Set<string>(orders.map((order) => order.orderNumber));

  it('fills an empty book: what waits is pending, what is drained is a win, each where it stands in the log', async () => {
    const orders = await promiseMany();
    await log.log.acknowledge(40);
    await refillOf().look();
    const waiting = orders.slice(40 * ORDERS_A_RECORD);
    expect(await isWhole()).toBe(true);
    expect(await pending()).toEqual(numbersOf(waiting));
    expect(await book.outstandingCount()).toBe(waiting.length);
    for (const order of [orders[3]!, orders.at(-3)!])
      expect(await book.winsOf(order.actId, order.phaseKey)).toEqual(
        await log.book.winsOf(order.actId, order.phaseKey),
      );
  });

  it('fills in what is missing among what is there, and moves nothing back', async () => {
    const orders = await promiseMany();
    await book.record(
      orders.slice(0, 50).map((order) => ({ order, position: { sequence: 1, leafIndex: 0 } })),
    );
    await book.advance(orders.slice(0, 10), TOKEN_STATUS.crediting);
    await book.advance(orders.slice(10, 20), TOKEN_STATUS.credited);
    await refillOf().look();
    expect(await pending()).toEqual(numbersOf([...orders.slice(0, 10), ...orders.slice(20)]));
    expect(await book.outstandingOf(orders[0]!.actId, orders[0]!.phaseKey)).toMatchObject([
      { status: TOKEN_STATUS.crediting },
    ]);
  });

  it('leaves out what stands behind its fence, so that the same number granted later counts', async () => {
    const late = anOrder({ person: 1, slice: 7 });
    const again = anOrder({ person: 1, slice: 8 });
    await log.log.appendFence(late.unit);
    await log.promise([late, anOrder({ person: 2, slice: 7 })]);
    const sequence = await log.promise([again]);
    await refillOf().look();
    expect(await book.outstandingOf(again.actId, again.phaseKey)).toEqual([
      { order: again, position: { sequence, leafIndex: 0 }, status: TOKEN_STATUS.outstanding },
    ]);
    expect(await book.outstandingCount()).toBe(1);
  });

  it('does not mark it whole when it was torn while it was being filled; the next look does', async () => {
    await promiseMany();
    let tears = 0;
    const refill = refillOf({
      async record(entries) {
        await book.record(entries);
        tears += 1;
        if (tears === 1) await book.tear(BUCKET);
      },
    });
    await refill.look();
    expect(await isWhole()).toBe(false);
    await refill.look();
    expect(await isWhole()).toBe(true);
  });

  it('takes out what was credited while it was being noted, once the log is drained that far', async () => {
    const orders = await promiseMany();
    const refill = refillOf();
    await refill.look();
    expect((await pending()).size).toBe(orders.length);
    // Credited and acknowledged, and the book was told before it was filled, so for nothing.
    await log.log.acknowledge(RECORDS);
    await refill.look();
    expect(await pending()).toEqual(new Set());
    expect(await book.winsOf(orders[0]!.actId, orders[0]!.phaseKey)).toHaveLength(1);
  });

  it('takes out, when an owner begins, what the one before left behind', async () => {
    const orders = await promiseMany();
    await refillOf().look();
    await log.log.acknowledge(RECORDS - 1);
    await refillOf().look();
    expect(await pending()).toEqual(numbersOf(orders.slice(-ORDERS_A_RECORD)));
  });

  it('fills in what it can when the log no longer has all', async () => {
    const orders = await promiseMany();
    const shortened = async (sequence: number) => {
      if (sequence <= 90) throw new Error('no such record');
      return log.log.at(sequence);
    };
    await refillOf({}, shortened).look();
    expect(await pending()).toEqual(numbersOf(orders.slice(90 * ORDERS_A_RECORD)));
    expect(await isWhole()).toBe(true);
  });

  it('waits while the log or the book can not be asked, and leaves the mark alone', async () => {
    await promiseMany();
    const away = () => Promise.reject(new RetryableFault('log-unavailable', 'away', 10));
    await expect(refillOf({}, away).look()).rejects.toBeInstanceOf(RetryableFault);
    expect(await isWhole()).toBe(false);
    let faults = 3;
    const refill = refillOf({
      async wholeness(bucket) {
        faults -= 1;
        if (faults >= 0) throw new RetryableFault('book-unavailable', 'away', 10);
        return book.wholeness(bucket);
      },
    });
    refill.start();
    await eventually(async () => expect(await isWhole()).toBe(true));
    await refill.stop();
  });

  it('looks after it by itself: emptied, it is whole again', async () => {
    const orders = await promiseMany();
    const refill = refillOf();
    refill.start();
    await eventually(async () => expect(await isWhole()).toBe(true));
    await emptied(cluster);
    await eventually(async () => expect(await isWhole()).toBe(true));
    expect((await pending()).size).toBe(orders.length);
    await refill.stop();
  });
});
