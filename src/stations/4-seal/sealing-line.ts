import type { GrantLog, LogPosition, LogSequence, MicroBatch } from '../../engines/ports.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { Keyring } from './keyring.ts';
import { sealBatch, sealedTokenOf } from './seal-batch.ts';

export interface Promised {
  /** Undefined when the log was down and the order went straight into the ledger. */
  readonly position: LogPosition | undefined;
  /** A SealedToken for the phone. */
  readonly token: Uint8Array;
}

export interface SealingLine {
  /**
   * Seals an order with whoever else comes within a millisecond and appends it. Resolves after the fsync and after
   * the book knows; rejects with the log's RetryableFault. `untilMs` is the last moment at which the order may be known
   * to be promised: one that was held up for longer may stand behind its slice's fence, and is "unknown", to the book too.
   */
  promise(order: Order, untilMs?: number): Promise<Promised>;
  /** Resolves when nothing is under way any more. */
  drain(): Promise<void>;
}

export interface SealingLineOptions {
  readonly keyring: Keyring;
  readonly log: GrantLog;
  /** Tells the book; awaited before anyone is answered. */
  readonly onAppended: (
    entries: readonly { readonly order: Order; readonly position: LogPosition }[],
  ) => Promise<unknown>;
  readonly nowMs: () => number;
  /**
   * What is done when the log does not take a batch, or leaves it open whether it did: makes the promise in another
   * durable way, and gives back the orders for which that was not possible. `log-unavailable`: it was not even begun.
   * Without it the log's fault is the answer.
   */
  readonly withoutLog?: (batch: MicroBatch) => Promise<ReadonlySet<OrderNumber>>;
  readonly batchOrdersMax?: number;
  readonly batchDelayMs?: number;
}

interface Waiting {
  readonly order: Order;
  readonly untilMs: number;
  readonly resolve: (promised: Promised) => void;
  readonly reject: (error: unknown) => void;
}

/** One signature costs as much as ten encryptions: at 64 orders a batch it no longer matters (docs/decisions/0001). */
const BATCH_ORDERS_MAX = 64;
const BATCH_DELAY_MS = 1;

/** Micro-batches: closed by size or by age, whichever comes first. */
export function createSealingLine(options: SealingLineOptions): SealingLine {
  const ordersMax = options.batchOrdersMax ?? BATCH_ORDERS_MAX;
  const delayMs = options.batchDelayMs ?? BATCH_DELAY_MS;
  const underWay = new Set<Promise<void>>();
  let waiting: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;

  const close = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    const work = sealAndAppend(batch).finally(() => underWay.delete(work));
    underWay.add(work);
  };

  async function sealAndAppend(batch: readonly Waiting[]): Promise<void> {
    try {
      const orders = batch.map((one) => one.order);
      const sealed = sealBatch(orders, options.keyring.active());
      const made = await append(sealed.batch);
      const nowMs = options.nowMs();
      const answers = batch.map((one, leafIndex) => ({
        one,
        token: sealed.sealedTokens[leafIndex]!,
        position: made.sequence === undefined ? undefined : { sequence: made.sequence, leafIndex },
        fault: faultOf(one, made.refused, nowMs),
      }));
      await options.onAppended(
        answers.flatMap(({ one, position, fault }) =>
          position && !fault ? [{ order: one.order, position }] : [],
        ),
      );
      for (const { one, token, position, fault } of answers) {
        if (fault) one.reject(fault);
        else one.resolve({ position, token });
      }
    } catch (error) {
      for (const one of batch) one.reject(error);
    }
  }

  async function append(
    batch: MicroBatch,
  ): Promise<{ readonly sequence: LogSequence | undefined; readonly refused: ReadonlySet<OrderNumber> }> {
    try {
      return { sequence: await options.log.append(batch), refused: NONE };
    } catch (error) {
      if (!options.withoutLog || !isLogFault(error)) throw error;
      return { sequence: undefined, refused: await options.withoutLog(batch).catch(failedBoth(error)) };
    }
  }

  return {
    promise: (order, untilMs = Number.POSITIVE_INFINITY) =>
      new Promise((resolve, reject) => {
        waiting.push({ order, untilMs, resolve, reject });
        if (waiting.length >= ordersMax) close();
        else timer ??= setTimeout(close, delayMs);
      }),
    async drain() {
      while (waiting.length > 0 || underWay.size > 0) {
        close();
        await Promise.all(underWay);
      }
    },
  };
}

const NONE: ReadonlySet<OrderNumber> = new Set();

const isLogFault = (error: unknown): boolean =>
  error instanceof RetryableFault && (error.kind === 'log-unavailable' || error.kind === 'outcome-unknown');

const isNotTaken = (error: unknown): boolean =>
  error instanceof RetryableFault && error.kind === 'log-unavailable';

/**
 * Nothing of a batch is ever read only if nobody took it, with the log and without it. Otherwise it may be replayed
 * from a journal and credited yet: under these numbers nothing else may be promised.
 */
const failedBoth =
  (log: unknown) =>
  (instead: unknown): never => {
    const mayBeRead = instead instanceof RetryableFault && !(isNotTaken(log) && isNotTaken(instead));
    throw mayBeRead
      ? new RetryableFault('outcome-unknown', instead.message, instead.delayMs, { cause: instead })
      : instead;
  };

/** Why an order can't be answered "won"; undefined when it can. */
function faultOf(
  { order, untilMs }: Waiting,
  refused: ReadonlySet<OrderNumber>,
  nowMs: number,
): RetryableFault | undefined {
  if (refused.has(order.orderNumber))
    return new RetryableFault('slice-fenced', `slice ${order.unit.sliceId} was closed meanwhile`, 1_000);
  return nowMs > untilMs
    ? new RetryableFault('outcome-unknown', 'the promise took longer than its packet’s lease', 1_000)
    : undefined;
}

/** What was answered when this place in the log was promised, again, byte for byte. */
export async function promisedAt(
  log: GrantLog,
  position: LogPosition,
): Promise<{ readonly order: Order; readonly token: Uint8Array }> {
  const record = await log.at(position.sequence);
  const order = record.kind === 'grants' ? record.orders[position.leafIndex] : undefined;
  if (record.kind !== 'grants' || !order)
    throw new Error(`log record ${position.sequence} holds no grant ${position.leafIndex}`);
  return { order, token: sealedTokenOf(record.seal, position.leafIndex) };
}
