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
   * the book knows; rejects with the log's RetryableFault.
   */
  promise(order: Order): Promise<Promised>;
  /** Resolves when nothing is under way any more. */
  drain(): Promise<void>;
}

export interface SealingLineOptions {
  readonly keyring: Keyring;
  readonly log: GrantLog;
  /** Tells the book; awaited before anyone is answered. */
  readonly onAppended: (batch: MicroBatch, sequence: LogSequence) => Promise<void>;
  /**
   * What is done when the log does not take a batch, or leaves it open whether it did: makes the promise in another
   * durable way, and gives back the orders for which that was not possible. Without it the log's fault is the answer.
   */
  readonly withoutLog?: (batch: MicroBatch) => Promise<ReadonlySet<OrderNumber>>;
  readonly batchOrdersMax?: number;
  readonly batchDelayMs?: number;
}

interface Waiting {
  readonly order: Order;
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
      const { seal, tokens } = sealBatch(orders, options.keyring.active());
      const promised = await append({ orders, seal });
      for (const [leafIndex, one] of batch.entries()) {
        if (promised.refused.has(one.order.orderNumber)) one.reject(tooLate(one.order));
        else one.resolve({ position: promised.at(leafIndex), token: tokens[leafIndex]! });
      }
    } catch (error) {
      for (const one of batch) one.reject(error);
    }
  }

  async function append(batch: MicroBatch): Promise<{
    readonly refused: ReadonlySet<OrderNumber>;
    readonly at: (leafIndex: number) => LogPosition | undefined;
  }> {
    try {
      const sequence = await options.log.append(batch);
      await options.onAppended(batch, sequence);
      return { refused: NONE, at: (leafIndex) => ({ sequence, leafIndex }) };
    } catch (error) {
      if (!options.withoutLog || !isLogFault(error)) throw error;
      return { refused: await options.withoutLog(batch), at: () => undefined };
    }
  }

  return {
    promise: (order) =>
      new Promise((resolve, reject) => {
        waiting.push({ order, resolve, reject });
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

const tooLate = (order: Order): RetryableFault =>
  new RetryableFault('slice-fenced', `slice ${order.unit.sliceId} was closed meanwhile`, 1_000);

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
