import type { Logger } from 'pino';
import type {
  BookEntry,
  GrantLog,
  LogReader,
  LogRecord,
  LogSequence,
  RestorableBook,
} from '../../engines/ports.ts';
import { createPauses } from '../../guard/pauses.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { type Fences, isVoid, passFence } from '../../rules/fences.ts';
import type { Order } from '../../vocabulary/order.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';

export interface BookRefillOptions {
  readonly bucket: number;
  readonly book: RestorableBook;
  /** The same bucket's log. */
  readonly log: Pick<GrantLog, 'at'>;
  readonly reader: Pick<LogReader, 'drained' | 'end'>;
  readonly logger: Logger;
  readonly lookEveryMs?: number;
}

export interface BookRefill {
  start(): void;
  /** Resolves when nothing of it is under way. */
  stop(): Promise<void>;
  /** Looks at once, and does what is to be done. Throws `RetryableFault` when book or log can't be asked now. */
  look(): Promise<void>;
}

const LOOK_EVERY_MS = 5_000;
/** About 2,000 orders. */
const RECORDS_AT_ONCE = 32;
const ADVANCED_AT_ONCE = 1_000;

/**
 * The owner's care for the book of its bucket: when the book may have forgotten something, it is filled again from the
 * log, all of it, and marked whole; what stands there as pending although the log has it drained is taken out. Doing
 * either again, or beside everybody else's work, changes nothing that is right.
 */
export function createBookRefill(options: BookRefillOptions): BookRefill {
  const { bucket, book, log, reader, logger } = options;
  const pauses = createPauses();
  let running: Promise<void> = Promise.resolve();
  /** Once drained to here, what was noted too late to be moved on is swept out. */
  let sweepAt: LogSequence | undefined = reader.drained();

  async function look(): Promise<void> {
    const { whole, state } = await book.wholeness(bucket);
    if (!whole) await refill(state);
    if (sweepAt !== undefined && reader.drained() >= sweepAt) {
      await sweep();
      sweepAt = undefined;
    }
  }

  /** `state` was seen before anything is read, so that what is forgotten meanwhile is not marked as there. */
  async function refill(state: string): Promise<void> {
    const end = reader.end();
    const fences: Fences = new Map();
    let orders = 0;
    let missing = 0;
    for (let from = 1; from <= end && !pauses.stopped; from += RECORDS_AT_ONCE) {
      const sequences = Array.from(
        { length: Math.min(RECORDS_AT_ONCE, end - from + 1) },
        (_, offset) => from + offset,
      );
      const records = await Promise.all(sequences.map(recordAt));
      const entries = records.flatMap((record) => (record ? countingIn(record, fences) : []));
      missing += records.filter((record) => record === undefined).length;
      orders += entries.length;
      await note(entries);
    }
    if (pauses.stopped) return;
    sweepAt = end;
    const isMarked = await book.markWhole(bucket, state);
    logger.info(
      { bucket, orders, records: end, missing, isMarked },
      'the token book was filled again from the log',
    );
  }

  /** Undefined for what the log no longer has. */
  async function recordAt(sequence: LogSequence): Promise<LogRecord | undefined> {
    try {
      return await log.at(sequence);
    } catch (error) {
      if (error instanceof RetryableFault) throw error;
      return undefined;
    }
  }

  async function note(entries: readonly Noted[]): Promise<void> {
    await book.record(entries);
    const drained = reader.drained();
    await credited(entries.filter(({ position }) => position.sequence <= drained));
  }

  const credited = (entries: readonly Noted[]): Promise<void> =>
    book.advance(
      entries.map(({ order }) => order),
      TOKEN_STATUS.credited,
    );

  async function sweep(): Promise<void> {
    const drained = reader.drained();
    let found: BookEntry[] = [];
    let swept = 0;
    const sweepOut = async () => {
      await credited(found);
      swept += found.length;
      found = [];
    };
    for await (const entry of book.pendingIn(bucket)) {
      if (pauses.stopped) return;
      if (entry.position.sequence <= drained) found.push(entry);
      if (found.length === ADVANCED_AT_ONCE) await sweepOut();
    }
    await sweepOut();
    if (swept > 0) logger.info({ bucket, orders: swept }, 'credited orders were taken out of the token book');
  }

  async function run(): Promise<void> {
    while (!pauses.stopped) {
      await look().catch((error: Error) => {
        const level = error instanceof RetryableFault ? 'debug' : 'error';
        logger[level]({ bucket, reason: error.message }, 'the token book could not be looked after');
      });
      await pauses.pause(options.lookEveryMs ?? LOOK_EVERY_MS);
    }
  }

  return {
    start() {
      running = run();
    },
    async stop() {
      pauses.stop();
      await running;
    },
    look,
  };
}

interface Noted {
  readonly order: Order;
  readonly position: BookEntry['position'];
}

/** The orders of a record but for those behind their slice's fence; records come in the order of the log. */
function countingIn(record: LogRecord, fences: Fences): Noted[] {
  const { sequence } = record;
  if (record.kind === 'fence') {
    passFence(fences, record.sliceId, record.epoch, sequence);
    return [];
  }
  return record.orders
    .map((order, leafIndex) => ({ order, position: { sequence, leafIndex } }))
    .filter(({ order }) => !isVoid(fences, order.unit, sequence));
}
