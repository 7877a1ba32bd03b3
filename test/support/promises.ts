import { type Journal, openJournal } from '../../src/engines/embedded/journal/index.ts';
import { createTokenBook } from '../../src/engines/embedded/token-book.ts';
import type { TokenBook } from '../../src/engines/ports.ts';
import { type Fences, isVoid, passFence } from '../../src/rules/fences.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { TOKEN_STATUS } from '../../src/vocabulary/token-status.ts';
import { batchOf } from './batches.ts';
import { quiet } from './quiet.ts';

/** The engine's memory without the engine: journal, book and fences as a process has them after its start. */
export interface Promises {
  readonly log: Journal;
  /** Resolves when everything up to this record is in the ledger. */
  drainedTo(sequence: number): Promise<void>;
  readonly book: TokenBook;
  readonly fences: Fences;
  /** Appends orders and tells the book, as 4-seal does; resolves with the record's sequence. */
  promise(orders: readonly Order[]): Promise<number>;
}

export async function openPromises(folder: string): Promise<Promises> {
  const book = createTokenBook();
  const fences: Fences = new Map();
  const noted: Promise<unknown>[] = [];
  const log = await openJournal({
    folder,
    logger: quiet,
    onRecord: (record, isDrained) => {
      if (record.kind === 'fence') return passFence(fences, record.sliceId, record.epoch, record.sequence);
      const orders = record.orders.map((order, leafIndex) => ({
        order,
        position: { sequence: record.sequence, leafIndex },
      }));
      const counting = orders.filter(({ order }) => !isVoid(fences, order.unit, record.sequence));
      noted.push(book.record(counting));
      if (isDrained) noted.push(book.advance(record.orders, TOKEN_STATUS.credited));
    },
  });
  await Promise.all(noted);
  return {
    log,
    book,
    fences,
    drainedTo: (sequence) => log.untilDrained(sequence, new AbortController().signal),
    async promise(orders) {
      const sequence = await log.append(batchOf(orders));
      await book.record(orders.map((order, leafIndex) => ({ order, position: { sequence, leafIndex } })));
      return sequence;
    },
  };
}
