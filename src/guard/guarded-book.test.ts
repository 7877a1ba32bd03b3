import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { anOrder } from '../../test/support/orders.ts';
import { quiet } from '../../test/support/postgres.ts';
import { createTokenBook } from '../engines/embedded/token-book.ts';
import type { RestorableBook } from '../engines/ports.ts';
import { RetryableFault } from '../protocol/failures.ts';
import { bucketOf } from '../vocabulary/bucket.ts';
import type { Order } from '../vocabulary/order.ts';
import { TOKEN_STATUS } from '../vocabulary/token-status.ts';
import { createGuardedBook, type GuardedBook, type GuardedBookOptions } from './guarded-book.ts';

const BUCKETS = 4;
const PROBE_MS = 100;
const position = { sequence: 1, leafIndex: 0 };
const entry = (order: Order) => ({ order, position });
/** Person n lies in bucket n % 4, because 1,000,000 does in bucket 0. */
const orderIn = (bucket: number, nth = 0) => anOrder({ person: bucket + BUCKETS * nth });

describe('a book that may be away', () => {
  let away: Set<number>;
  let told: number[];
  let calls: number;
  let distant: RestorableBook;
  let book: GuardedBook;

  beforeEach(() => {
    vi.useFakeTimers();
    away = new Set();
    told = [];
    calls = 0;
    const memory = createTokenBook();
    const reach = async (bucket: number): Promise<void> => {
      calls += 1;
      if (away.has(bucket)) throw new RetryableFault('book-unavailable', 'the server is down', 100);
    };
    const of = (order: Pick<Order, 'actId'>) => bucketOf(order.actId, BUCKETS);
    distant = {
      async record(entries) {
        await reach(of(entries[0]!.order));
        return memory.record(entries);
      },
      async advance(orders, status) {
        await reach(of(orders[0]!));
        await memory.advance(orders, status);
      },
      isWhole: memory.isWhole,
      async outstandingOf(actId, phaseKey) {
        await reach(of({ actId }));
        return memory.outstandingOf(actId, phaseKey);
      },
      async takeTurn(actId, phaseKey) {
        await reach(of({ actId }));
        return memory.takeTurn(actId, phaseKey);
      },
      async winsOf(actId, phaseKey) {
        await reach(of({ actId }));
        return memory.winsOf(actId, phaseKey);
      },
      outstandingCount: () => memory.outstandingCount(),
      async wholeness(bucket) {
        await reach(bucket);
        return { whole: true, state: '' };
      },
      markWhole: async () => true,
      async tear(bucket) {
        await reach(bucket);
        told.push(bucket);
      },
      async *pendingIn() {},
    };
    book = guarded({ probeMsFirst: PROBE_MS, probeMsMax: PROBE_MS });
  });
  afterEach(() => {
    book.stop();
    vi.useRealTimers();
  });

  const guarded = (more: Partial<GuardedBookOptions>) =>
    createGuardedBook({
      book: distant,
      buckets: BUCKETS,
      random: () => 1,
      logger: quiet,
      faultsToOpen: 3,
      ...more,
    });
  const open = async (bucket: number) => {
    away.add(bucket);
    for (let time = 0; time < 3; time += 1) await book.record([entry(orderIn(bucket, time))]);
  };
  const readIn = (bucket: number) => book.winsOf(orderIn(bucket).actId, orderIn(bucket).phaseKey);
  const UNKNOWN = expect.objectContaining({ name: 'RetryableFault', kind: 'book-unavailable' });

  it('passes everything through while it is there', async () => {
    const order = orderIn(1);
    await book.record([entry(order)]);
    await book.advance([order], TOKEN_STATUS.crediting);
    expect(await book.outstandingOf(order.actId, order.phaseKey)).toMatchObject([{ order, status: 2 }]);
    expect(await readIn(1)).toHaveLength(1);
    expect(await book.outstandingCount()).toBe(1);
    expect(book.status()).toEqual({
      switchedOff: false,
      openBuckets: [],
      untoldBuckets: [],
      skipped: { record: 0, advance: 0 },
    });
  });

  it('never makes a promise wait or fail: what can not be noted is skipped and counted', async () => {
    await open(1);
    await book.record([entry(orderIn(1, 9)), entry(orderIn(1, 10))]);
    await book.advance([orderIn(1)], TOKEN_STATUS.credited);
    expect(book.status().skipped).toEqual({ record: 5, advance: 1 });
  });

  it('says "unknown" and not "nothing", and asks nobody any more once it is open', async () => {
    away.add(1);
    await expect(readIn(1)).rejects.toEqual(UNKNOWN);
    await open(1);
    const before = calls;
    await expect(readIn(1)).rejects.toEqual(UNKNOWN);
    await expect(book.outstandingOf(orderIn(1).actId, orderIn(1).phaseKey)).rejects.toEqual(UNKNOWN);
    await expect(book.outstandingCount()).rejects.toEqual(UNKNOWN);
    expect(calls).toBe(before);
  });

  it('does without one bucket and with all others, in one batch too', async () => {
    await open(1);
    expect(book.status().openBuckets).toEqual([1]);
    await book.record([entry(orderIn(1, 7)), entry(orderIn(2, 7)), entry(orderIn(2, 8))]);
    expect(await book.winsOf(orderIn(2, 8).actId, orderIn(2).phaseKey)).toHaveLength(1);
    expect(await readIn(2)).toEqual([]);
  });

  it('comes back by itself, and tells the bucket that it missed something, once', async () => {
    await open(1);
    await vi.advanceTimersByTimeAsync(5 * PROBE_MS);
    expect(book.status()).toMatchObject({ openBuckets: [1], untoldBuckets: [1] });
    away.clear();
    await vi.advanceTimersByTimeAsync(5 * PROBE_MS);
    expect(book.status()).toMatchObject({ openBuckets: [], untoldBuckets: [] });
    expect(told).toEqual([1]);
    expect(await readIn(1)).toEqual([]);
  });

  it('tells a bucket also of a single miss that opened nothing', async () => {
    away.add(2);
    await book.record([entry(orderIn(2))]);
    away.clear();
    await vi.advanceTimersByTimeAsync(2 * PROBE_MS);
    expect(told).toEqual([2]);
  });

  it('tells nothing of a missed "being credited", and tells of a missed credit', async () => {
    away.add(2);
    await book.advance([orderIn(2)], TOKEN_STATUS.crediting);
    expect(book.status().untoldBuckets).toEqual([]);
    await book.advance([orderIn(2)], TOKEN_STATUS.credited);
    expect(book.status().untoldBuckets).toEqual([2]);
  });

  it('is switched off and on by hand; what it missed meanwhile is told afterwards', async () => {
    book.switchOff();
    await book.record([entry(orderIn(3))]);
    await expect(readIn(3)).rejects.toEqual(UNKNOWN);
    await vi.advanceTimersByTimeAsync(5 * PROBE_MS);
    expect([calls, told]).toEqual([0, []]);
    expect(book.status()).toMatchObject({ switchedOff: true, openBuckets: [], untoldBuckets: [3] });
    book.switchOn();
    await vi.advanceTimersByTimeAsync(2 * PROBE_MS);
    expect(told).toContain(3);
    expect(await readIn(3)).toEqual([]);
  });

  it('is asked again only once it knows that it was off: till then it would take for nothing what it missed', async () => {
    book.switchOff();
    await book.record([entry(orderIn(3))]);
    book.switchOn();
    await expect(readIn(3)).rejects.toEqual(UNKNOWN);
    await book.record([entry(orderIn(3, 1))]);
    away.add(3);
    await vi.advanceTimersByTimeAsync(20 * PROBE_MS);
    await expect(readIn(3)).rejects.toEqual(UNKNOWN);
    away.clear();
    await vi.advanceTimersByTimeAsync(5 * PROBE_MS);
    expect(told).toContain(3);
    expect(await readIn(3)).toEqual([]);
  });

  it('is told that it was off also by who has kept nothing from it: who has may have been started again since', async () => {
    book.switchOff();
    book.switchOn();
    await vi.advanceTimersByTimeAsync(2 * PROBE_MS);
    expect(told.toSorted()).toEqual([0, 1, 2, 3]);
    expect(book.status().untoldBuckets).toEqual([]);
  });

  it('takes no word that it is on for one that it was off', async () => {
    book.switchOn();
    expect(await readIn(3)).toEqual([]);
    await vi.advanceTimersByTimeAsync(5 * PROBE_MS);
    expect(told).toEqual([]);
  });

  describe('that only this process can’t reach', () => {
    const MOMENT_MS = 10;
    let passed: number[];
    let heard: 'yes' | 'no' | 'late';
    let mine: GuardedBook;

    beforeEach(() => {
      passed = [];
      heard = 'yes';
      mine = guarded({
        probeMsFirst: 60_000,
        probeMsMax: 60_000,
        others: {
          monotonicMs: () => performance.now(),
          async tell(bucket) {
            await new Promise((resolve) => setTimeout(resolve, heard === 'late' ? 1_000 : MOMENT_MS));
            passed.push(bucket);
            if (heard !== 'yes') throw new Error('nobody hears');
          },
        },
      });
      away.add(1);
    });
    afterEach(() => mine.stop());

    /** How long it takes to note an order, and so the person waits. */
    async function noted(bucket: number, nth = 0): Promise<number> {
      const beganMs = performance.now();
      const done = mine.record([entry(orderIn(bucket, nth))]).then(() => performance.now() - beganMs);
      await vi.advanceTimersByTimeAsync(1_000);
      return done;
    }

    it('knows by another one that it misses something, before the person knows what', async () => {
      expect(await noted(1)).toBe(MOMENT_MS);
      expect(passed).toEqual([1]);
      expect(await noted(2)).toBe(0);
    });

    it('is told again as long as things are kept from it, every three seconds, for all of them together', async () => {
      await Promise.all([noted(1), noted(1, 1), noted(1, 2)]);
      expect(passed).toEqual([1]);
      for (let second = 0; second < 9; second += 1) await noted(1, 3 + second);
      expect(passed).toEqual([1, 1, 1, 1]);
    });

    it('has one person wait and no other, when nobody can tell it; and is told when somebody can', async () => {
      heard = 'late';
      expect(await noted(1)).toBe(1_000);
      for (let nth = 1; nth < 5; nth += 1) expect(await noted(1, nth)).toBe(0);
      heard = 'yes';
      await vi.advanceTimersByTimeAsync(1_000);
      passed = [];
      expect([await noted(1, 6), await noted(1, 7)]).toEqual([0, 0]);
      expect(passed).toEqual([1]);
    });

    it('has no creditor wait', async () => {
      heard = 'late';
      const beganMs = performance.now();
      await mine.advance([orderIn(1)], TOKEN_STATUS.credited);
      expect(performance.now() - beganMs).toBe(0);
    });
  });

  it('throws on what is no absence', async () => {
    const broken = guarded({
      book: { ...distant, winsOf: () => Promise.reject(new Error('a mistake')) },
    });
    for (let time = 0; time < 9; time += 1)
      await expect(broken.winsOf(orderIn(0).actId, orderIn(0).phaseKey)).rejects.toThrow('a mistake');
    expect(broken.status().openBuckets).toEqual([]);
    broken.stop();
  });
});
