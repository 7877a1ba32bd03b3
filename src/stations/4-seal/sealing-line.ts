import type { GrantLog, LogPosition, LogSequence, MicroBatch } from '../../engines/ports.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { Keyring } from './keyring.ts';
import { sealBatch, sealedTokenOf } from './seal-batch.ts';

export interface Promised {
  readonly position: LogPosition;
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
      const sequence = await options.log.append({ orders, seal });
      await options.onAppended({ orders, seal }, sequence);
      for (const [leafIndex, one] of batch.entries()) {
        one.resolve({ position: { sequence, leafIndex }, token: tokens[leafIndex]! });
      }
    } catch (error) {
      for (const one of batch) one.reject(error);
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

/** The token that was answered when this place in the log was promised, again, byte for byte. */
export async function sealedTokenAt(log: GrantLog, position: LogPosition): Promise<Uint8Array> {
  const record = await log.at(position.sequence);
  if (record.kind !== 'grants') throw new Error(`log record ${position.sequence} holds no grants`);
  return sealedTokenOf(record.seal, position.leafIndex);
}
