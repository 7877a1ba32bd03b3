import type { Logger } from 'pino';
import type { RestorableBook, TokenBook } from '../engines/ports.ts';
import { RetryableFault } from '../protocol/failures.ts';
import { bucketOf } from '../vocabulary/bucket.ts';
import type { ActId } from '../vocabulary/ids.ts';
import { TOKEN_STATUS } from '../vocabulary/token-status.ts';
import { type BreakerSettings, type BucketGuard, createBucketGuard } from './bucket-guard.ts';

export interface GuardedBookOptions extends BreakerSettings {
  readonly book: RestorableBook;
  readonly buckets: number;
  readonly logger: Logger;
  /** Other processes of the cluster: one of them may reach a bucket that this one can't. */
  readonly others?: Others;
}

export interface Others {
  /** Has one of them tell the bucket that it misses something; rejects soon when nobody can. */
  tell(bucket: number): Promise<void>;
  monotonicMs(): number;
}

export interface GuardedBookStatus {
  /** By operations. */
  readonly switchedOff: boolean;
  /** Buckets whose breaker is not closed. */
  readonly openBuckets: readonly number[];
  /** Buckets that were kept from something and have not been told yet. */
  readonly untoldBuckets: readonly number[];
  /** Orders that were not noted, or not moved on, since the process began. */
  readonly skipped: { readonly record: number; readonly advance: number };
}

export interface GuardedBook extends TokenBook {
  /** Does without the book until it is switched on again. */
  switchOff(): void;
  switchOn(): void;
  status(): GuardedBookStatus;
  /** Ends the probes. */
  stop(): void;
}

const AWAY_MS = 1_000;

/**
 * The book as a weak dependency. While it is away, what it should note is skipped and counted, never waited for, and
 * what is asked of it is answered `RetryableFault('book-unavailable')` at once: not known, which is not "nothing". Each
 * bucket has a breaker of its own, so that one lost server takes its own buckets with it and no other.
 *
 * A bucket that missed something is told so when it is back (`tear`); its owner then fills it again from the log. While
 * others may reach a bucket that this process can't, one of them tells it, before anybody here is told of what it misses:
 * or the others would take what they read for all there is.
 */
export function createGuardedBook(options: GuardedBookOptions): GuardedBook {
  const { book, buckets, logger } = options;
  const skipped = { record: 0, advance: 0 };
  let isOff = false;
  const guards = Array.from({ length: buckets }, (_, bucket) => guard(bucket));

  function guard(bucket: number): BucketGuard {
    const { others } = options;
    return createBucketGuard({
      ...options,
      others: others && { pass: () => others.tell(bucket), monotonicMs: others.monotonicMs },
      look: () => book.wholeness(bucket),
      tell: () => book.tear(bucket),
      onAway: () => logger.warn({ bucket }, 'the token book is away; doing without it'),
      onBack: () => logger.info({ bucket }, 'the token book is back'),
    });
  }

  /** Undefined when it was skipped. */
  async function tryOn<Result>(
    one: BucketGuard,
    act: () => Promise<Result>,
  ): Promise<{ readonly result: Result } | undefined> {
    if (!one.lets()) return undefined;
    try {
      const result = await act();
      one.breaker.succeeded();
      return { result };
    } catch (error) {
      if (!isAway(error)) throw error;
      one.breaker.failed();
      return undefined;
    }
  }

  async function ask<Answer>(actId: ActId, act: () => Promise<Answer>): Promise<Answer> {
    const one = guards[bucketOf(actId, buckets)]!;
    if (!one.lets()) throw away();
    try {
      const answer = await act();
      one.breaker.succeeded();
      return answer;
    } catch (error) {
      if (isAway(error)) one.breaker.failed();
      throw error;
    }
  }

  function inBuckets<Item>(items: readonly Item[], actIdOf: (item: Item) => ActId): Map<BucketGuard, Item[]> {
    const groups = new Map<BucketGuard, Item[]>();
    for (const item of items) {
      const one = guards[bucketOf(actIdOf(item), buckets)]!;
      const group = groups.get(one);
      if (group) group.push(item);
      else groups.set(one, [item]);
    }
    return groups;
  }

  /** Does it bucket by bucket, counts what had to be skipped, and gives the results of the rest. */
  async function change<Item, Result>(
    kind: keyof typeof skipped,
    groups: Map<BucketGuard, Item[]>,
    act: (items: readonly Item[]) => Promise<Result>,
    matters: boolean,
  ): Promise<readonly Result[]> {
    const results = await Promise.all(
      [...groups].map(async ([one, items]) => {
        const done = await tryOn(one, () => act(items));
        if (done) return [done.result];
        skipped[kind] += items.length;
        const told = matters ? one.missed() : undefined;
        // Somebody is about to hear of an order. Nobody hears of a credit by the book: the ledger has it.
        if (kind === 'record') await told;
        return [];
      }),
    );
    return results.flat();
  }

  return {
    async record(entries) {
      const groups = inBuckets(entries, ({ order }) => order.actId);
      return (await change('record', groups, book.record, true)).flat();
    },
    async advance(orders, status) {
      const groups = inBuckets(orders, (order) => order.actId);
      // "Being credited" is news of a moment; a credit that is missed would stand in the book for ever.
      const matters = status === TOKEN_STATUS.credited;
      await change('advance', groups, (some) => book.advance(some, status), matters);
    },
    outstandingOf: (actId, phaseKey) => ask(actId, () => book.outstandingOf(actId, phaseKey)),
    winsOf: (actId, phaseKey) => ask(actId, () => book.winsOf(actId, phaseKey)),
    takeTurn: (actId, phaseKey) => ask(actId, () => book.takeTurn(actId, phaseKey)),
    isWhole: (actId) => ask(actId, () => book.isWhole(actId)),
    async outstandingCount() {
      if (!guards.every((one) => one.lets())) throw away();
      return book.outstandingCount();
    },
    switchOff() {
      isOff = true;
      for (const one of guards) one.rest();
    },
    switchOn() {
      isOff = false;
      for (const one of guards) one.goOn();
    },
    status: () => ({
      switchedOff: isOff,
      openBuckets: numbersWhere(guards, ({ breaker }) => breaker.state !== 'closed'),
      untoldBuckets: numbersWhere(guards, (one) => one.isUntold()),
      skipped: { ...skipped },
    }),
    stop() {
      for (const one of guards) one.stop();
    },
  };
}

const isAway = (error: unknown): boolean =>
  error instanceof RetryableFault && error.kind === 'book-unavailable';

const away = (): RetryableFault =>
  new RetryableFault('book-unavailable', 'the token book is away, or switched off', AWAY_MS);

const numbersWhere = <Item>(items: readonly Item[], holds: (item: Item) => boolean): number[] =>
  items.flatMap((item, index) => (holds(item) ? [index] : []));
