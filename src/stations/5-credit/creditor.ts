import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type {
  CreditReceipt,
  GrantLog,
  Ledger,
  LogRecord,
  LogSequence,
  TokenBook,
} from '../../engines/ports.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { type Fences, isVoid, passFence } from '../../rules/fences.ts';
import { newRate, takeUpTo, waitMs } from '../../rules/rate-limit.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { Outcome } from '../../vocabulary/outcome.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';

export interface CreditorStatus {
  readonly drained: LogSequence;
  readonly end: LogSequence;
  /** Tokens that the book knows as outstanding or being credited. */
  readonly backlogOrders: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Why nothing moves at the moment; undefined when it does. */
  readonly stalledBecause?: string;
}

export interface Creditor {
  start(): void;
  /** Finishes the batch in hand. */
  stop(): Promise<void>;
  /** Credits a second from now on; undefined lifts the limit. Takes effect at once. */
  setRate(creditsPerSecond: number | undefined): void;
  rate(): number | undefined;
  status(): CreditorStatus;
  /** Resolves when everything up to this record is in the ledger. */
  drainedTo(sequence: LogSequence): Promise<void>;
}

export interface CreditorOptions {
  readonly log: GrantLog;
  readonly book: TokenBook;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** Fences that stand before the drained mark; gathered when the log was opened. */
  readonly fences: Fences;
  readonly onFatal: (error: unknown) => void;
  readonly batchOrdersMax?: number;
}

const BATCH_ORDERS_MAX = 1_000;
const BACK_OFF_MS_MAX = 5_000;

/**
 * Drains the grant log into the ledger, in order and in batches, at the rate that the ledger is allowed ("压单"). What
 * comes twice is credited once: the ledger's key decides, so a restart may begin a little too early.
 */
export function createCreditor(options: CreditorOptions): Creditor {
  const { log, book, ledger, clock, logger } = options;
  const batchOrdersMax = options.batchOrdersMax ?? BATCH_ORDERS_MAX;
  const rate = newRate(undefined, clock.monotonicMs());
  const outcomes: Record<Outcome, number> = { credited: 0, 'already-credited': 0, conflicting: 0, void: 0 };
  const stopping = new AbortController();
  let rateChanged = new AbortController();
  let drainedWaiters: { readonly sequence: LogSequence; readonly resolve: () => void }[] = [];
  let stalledBecause: string | undefined;
  let running: Promise<void> = Promise.resolve();

  /** Waits until the rate allows some of `wanted`, and takes them. Zero only when stopping. */
  async function takeAllowance(wanted: number): Promise<number> {
    while (!stopping.signal.aborted) {
      const taken = takeUpTo(rate, wanted, clock.monotonicMs());
      if (taken > 0) return taken;
      const signal = AbortSignal.any([stopping.signal, rateChanged.signal]);
      const pauseMs = waitMs(rate) ?? 3_600_000;
      await delay(pauseMs, undefined, { signal }).catch(() => {});
    }
    return 0;
  }

  async function creditInSteps(orders: readonly Order[]): Promise<boolean> {
    let done = 0;
    while (done < orders.length) {
      const taken = await takeAllowance(orders.length - done);
      if (taken === 0) return false;
      const step = orders.slice(done, done + taken);
      await book.advance(step, TOKEN_STATUS.crediting);
      const receipt = await creditUntilDone(step);
      if (!receipt) return false;
      await book.advance(step, TOKEN_STATUS.credited);
      count(receipt);
      done += taken;
    }
    return true;
  }

  /** A fault passes; only stopping gives up, and then the orders stay in the log for the next start. */
  async function creditUntilDone(orders: readonly Order[]): Promise<CreditReceipt | undefined> {
    for (let failures = 0; !stopping.signal.aborted; failures += 1) {
      try {
        const receipt = await ledger.credit(orders);
        stalledBecause = undefined;
        return receipt;
      } catch (error) {
        if (!(error instanceof RetryableFault)) throw error;
        stalledBecause = error.message;
        const pauseMs =
          Math.min(BACK_OFF_MS_MAX, error.delayMs * 2 ** Math.min(failures, 6)) *
          (0.5 + options.random() / 2);
        logger.warn({ pauseMs, reason: error.message }, 'crediting waits for the ledger');
        await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => {});
      }
    }
    return undefined;
  }

  function count(receipt: CreditReceipt): void {
    outcomes.credited += receipt.credited;
    outcomes['already-credited'] += receipt.alreadyCredited;
    outcomes.conflicting += receipt.conflicting.length;
    if (receipt.conflicting.length > 0) {
      logger.error(
        { orders: receipt.conflicting },
        'orders stand in the ledger with other content; nothing was moved for them',
      );
    }
  }

  /** The orders of these records that count; passes their fences on the way. */
  function ordersToCredit(records: readonly LogRecord[]): { counting: Order[]; voided: Order[] } {
    const counting: Order[] = [];
    const voided: Order[] = [];
    for (const record of records) {
      if (record.kind === 'fence') passFence(options.fences, record.sliceId, record.epoch);
      else
        for (const order of record.orders)
          (isVoid(options.fences, order.unit) ? voided : counting).push(order);
    }
    return { counting, voided };
  }

  async function creditNext(): Promise<void> {
    const records = await log.read(log.drained(), batchOrdersMax);
    const last = records.at(-1);
    if (!last) return log.beyond(log.drained(), stopping.signal);
    const { counting, voided } = ordersToCredit(records);
    if (!(await creditInSteps(counting))) return;
    await book.advance(voided, TOKEN_STATUS.credited);
    outcomes.void += voided.length;
    await log.acknowledge(last.sequence);
    wakeDrained();
  }

  function wakeDrained(): void {
    const reached = log.drained();
    for (const waiter of drainedWaiters) if (waiter.sequence <= reached) waiter.resolve();
    drainedWaiters = drainedWaiters.filter((waiter) => waiter.sequence > reached);
  }

  async function run(): Promise<void> {
    try {
      while (!stopping.signal.aborted) await creditNext();
    } catch (error) {
      options.onFatal(error);
    }
  }

  return {
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      await running;
    },
    setRate(creditsPerSecond) {
      rate.perSecond = creditsPerSecond;
      rate.allowance = 0;
      rate.atMs = clock.monotonicMs();
      const before = rateChanged;
      rateChanged = new AbortController();
      before.abort();
    },
    rate: () => rate.perSecond,
    status: () => ({
      drained: log.drained(),
      end: log.end(),
      backlogOrders: book.outstandingCount(),
      outcomes: { ...outcomes },
      ...(stalledBecause === undefined ? {} : { stalledBecause }),
    }),
    drainedTo: (sequence) =>
      new Promise((resolve) => {
        drainedWaiters.push({ sequence, resolve });
        wakeDrained();
      }),
  };
}
