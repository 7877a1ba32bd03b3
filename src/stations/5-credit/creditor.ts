import type { Logger } from 'pino';
import type { CreditReceipt, Ledger, LogReader, LogSequence, TokenBook } from '../../engines/ports.ts';
import { createPauses } from '../../guard/pauses.ts';
import { unlessBookIsAway } from '../../guard/weak.ts';
import type { Fences } from '../../rules/fences.ts';
import { newRate, takeUpTo, waitMs } from '../../rules/rate-limit.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { Outcome } from '../../vocabulary/outcome.ts';
import { TOKEN_STATUS, type TokenStatus } from '../../vocabulary/token-status.ts';
import { type Batch, batchOf, type VoidOrder } from './batch.ts';
import { createPatience } from './patience.ts';

export interface CreditorStatus {
  readonly drained: LogSequence;
  readonly end: LogSequence;
  /** Orders read from the log since the start. At any moment accepted = inHand + the sum of the outcomes (I8). */
  readonly acceptedOrders: number;
  readonly inHandOrders: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Why nothing moves at the moment; undefined when it does. */
  readonly stalledBecause?: string;
}

export interface Creditor {
  start(): void;
  /** Finishes the batches in hand. */
  stop(): Promise<void>;
  /** Credits a second from now on; undefined lifts the limit. At once. Throws a RangeError for what is no rate. */
  setRate(creditsPerSecond: number | undefined): void;
  rate(): number | undefined;
  status(): CreditorStatus;
}

export interface CreditorOptions {
  readonly log: LogReader;
  readonly book: TokenBook;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** Fences that stand before the drained mark, gathered when the log was opened; those behind it may be in there. */
  readonly fences: Fences;
  readonly onFatal: (error: unknown) => void;
  readonly batchOrdersMax?: number;
  /** How many statements the ledger is given at once. */
  readonly inFlightMax?: number;
}

/**
 * Sorted, a larger batch finds more of its rows on the same pages: a seventh less of the server's CPU a credit than in
 * batches of 1,000. With 4,000 it would be a tenth less once more, but a slice's fence waits for its batch
 * (docs/decisions/0002).
 */
const BATCH_ORDERS_MAX = 2_000;
/**
 * While the ledger works on one, the next is being written down. Medians of four runs of 60,000 orders on two cores
 * shared with Postgres: 84,000 credits a second with one, 115,000 with two, 127,000 with three. Two leave the ledger
 * room for withdrawals, whose p99 is the same with and without 200,000 orders waiting.
 */
const IN_FLIGHT_MAX = 2;

/**
 * Drains the grant log into the ledger, in batches and at the rate that the ledger is allowed (seed: 压单). What comes
 * twice is credited once, by the ledger's key; so a restart may begin too early, and batches may be under way side by
 * side as long as they are acknowledged in order.
 */
export function createCreditor(options: CreditorOptions): Creditor {
  const { log, book, ledger, clock, logger } = options;
  const batchOrdersMax = options.batchOrdersMax ?? BATCH_ORDERS_MAX;
  const inFlightMax = options.inFlightMax ?? IN_FLIGHT_MAX;
  const outcomes: Record<Outcome, number> = { credited: 0, 'already-credited': 0, conflicting: 0, void: 0 };
  const patience = createPatience(options);
  /** The main loop's waits for the rate. */
  const turns = createPauses();
  const stopping = new AbortController();
  const inFlight = new Set<Promise<boolean>>();
  let failed = false;
  let rate = newRate(undefined, clock.monotonicMs());
  let readTo = log.drained();
  let acceptedOrders = 0;
  let inHandOrders = 0;
  let running: Promise<void> = Promise.resolve();
  /** Whether every batch so far was finished and acknowledged; the next one waits for it. */
  let acknowledged: Promise<boolean> = Promise.resolve(true);

  async function run(): Promise<void> {
    try {
      while (!turns.stopped) await takeNext();
    } catch (error) {
      fail(error);
    }
  }

  async function takeNext(): Promise<void> {
    const read = await patience.until(() => log.read(readTo, batchOrdersMax));
    if (!read) return;
    if (read.result.length === 0) await log.beyond(readTo, stopping.signal);
    else await take(batchOf(read.result, options.fences));
  }

  async function take(batch: Batch): Promise<void> {
    readTo = batch.lastSequence;
    acceptedOrders += batch.counting.length + batch.voided.length;
    inHandOrders += batch.counting.length + batch.voided.length;
    const before = acknowledged;
    const steps = await creditInSteps(batch.counting);
    acknowledged = finish(batch, before, steps).catch(fail);
    if (batch.counting.length === 0) await acknowledged;
  }

  /** Hands the orders to the ledger, as many at a time as the rate allows; resolves when all are under way. */
  async function creditInSteps(orders: readonly Order[]): Promise<Promise<boolean>[]> {
    const steps: Promise<boolean>[] = [];
    for (let done = 0; done < orders.length; ) {
      while (inFlight.size >= inFlightMax) await Promise.race(inFlight);
      const taken = await takeAllowance(orders.length - done);
      if (taken === 0) return [...steps, Promise.resolve(false)];
      const step: Promise<boolean> = creditStep(orders.slice(done, done + taken))
        .catch(fail)
        .finally(() => inFlight.delete(step));
      inFlight.add(step);
      steps.push(step);
      done += taken;
    }
    return steps;
  }

  /** Waits until the rate allows some of `wanted`, and takes them. Zero only when stopping. */
  async function takeAllowance(wanted: number): Promise<number> {
    while (!turns.stopped) {
      const taken = takeUpTo(rate, wanted, clock.monotonicMs());
      if (taken > 0) return taken;
      await turns.pause(waitMs(rate, wanted) ?? Number.POSITIVE_INFINITY);
    }
    return 0;
  }

  /** True when the orders are in the ledger and the book knows; false when stopping left them to the next start. */
  async function creditStep(orders: readonly Order[]): Promise<boolean> {
    let receipt: CreditReceipt | undefined;
    const done = await patience.until(async () => {
      if (!receipt) await note(orders, TOKEN_STATUS.crediting);
      receipt ??= await ledger.credit(orders);
      await note(orders, TOKEN_STATUS.credited);
      return receipt;
    });
    if (done) count(orders.length, done.result);
    return done !== undefined;
  }

  /** A book that is away is told later, by whoever rebuilds it: the wallet subtracts by the ledger's own key. */
  const note = (orders: readonly Order[], status: TokenStatus): Promise<void> =>
    unlessBookIsAway(() => book.advance(orders, status), undefined);

  function count(orders: number, receipt: CreditReceipt): void {
    inHandOrders -= orders;
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

  /** Acknowledges a batch once all of it is in the ledger, and everything before it. */
  async function finish(batch: Batch, before: Promise<boolean>, steps: Promise<boolean>[]): Promise<boolean> {
    const done = await Promise.all(steps);
    if (!(await before) || done.includes(false)) return false;
    // Side by side: a log that was made anew has everything that was credited behind its fences.
    const forgotten = await patience.until(() => Promise.all(batch.voided.map(forget)));
    if (!forgotten) return false;
    inHandOrders -= batch.voided.length;
    outcomes.void += batch.voided.length;
    const known = await patience.until(() => log.acknowledge(batch.lastSequence));
    return known !== undefined;
  }

  /** Takes a void order out of the overlay, but not one of the same number that was granted elsewhere in the log. */
  async function forget({ order, sequence }: VoidOrder): Promise<void> {
    const entries = await unlessBookIsAway(() => book.outstandingOf(order.actId, order.phaseKey), []);
    const entry = entries.find((one) => one.order.orderNumber === order.orderNumber);
    if (entry?.position.sequence === sequence) await note([order], TOKEN_STATUS.credited);
  }

  function fail(error: unknown): false {
    if (failed) return false;
    failed = true;
    halt();
    options.onFatal(error);
    return false;
  }

  function halt(): void {
    stopping.abort();
    turns.stop();
    patience.stop();
  }

  return {
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      turns.stop();
      patience.stop();
      await running;
      await acknowledged;
      halt();
    },
    setRate(creditsPerSecond) {
      rate = newRate(creditsPerSecond, clock.monotonicMs());
      turns.wake();
    },
    rate: () => rate.perSecond,
    status() {
      const stalledBecause = patience.reason();
      return {
        drained: log.drained(),
        end: log.end(),
        acceptedOrders,
        inHandOrders,
        outcomes: { ...outcomes },
        ...(stalledBecause === undefined ? {} : { stalledBecause }),
      };
    },
  };
}
