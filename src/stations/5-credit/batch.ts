import type { LogRecord, LogSequence } from '../../engines/ports.ts';
import { type Fences, isVoid, passFence } from '../../rules/fences.ts';
import type { Order } from '../../vocabulary/order.ts';

/** An order behind its slice's fence, and the record in which it stands. */
export interface VoidOrder {
  readonly order: Order;
  readonly sequence: LogSequence;
}

/** What some records of the log come to. */
export interface Batch {
  readonly counting: readonly Order[];
  readonly voided: readonly VoidOrder[];
  /** With this record the batch is done. */
  readonly lastSequence: LogSequence;
}

/** Parts the orders of `records` (not empty, in the log's order) by their fences, and notes the fences among them. */
export function batchOf(records: readonly LogRecord[], fences: Fences): Batch {
  const counting: Order[] = [];
  const voided: VoidOrder[] = [];
  for (const record of records) {
    if (record.kind === 'fence') {
      passFence(fences, record.sliceId, record.epoch, record.sequence);
      continue;
    }
    for (const order of record.orders) {
      if (isVoid(fences, order.unit, record.sequence)) voided.push({ order, sequence: record.sequence });
      else counting.push(order);
    }
  }
  return { counting, voided, lastSequence: records.at(-1)!.sequence };
}
