import type { Logger } from 'pino';
import type {
  BookEntry,
  GrantLog,
  Ledger,
  LogReader,
  LogRecord,
  LogSequence,
  RestorableBook,
} from '../../engines/ports.ts';
import { createPauses } from '../../guard/pauses.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { type Fences, isVoid, passFence } from '../../rules/fences.ts';
import type { Order, SliceUnit } from '../../vocabulary/order.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';

/** What a sweep has mended; in ordinary times nothing but a few settled. */
export interface Swept {
  /** Orders that were written into a book that had forgotten, from the log. */
  refilled: number;
  /** Tokens of the book that were credited, or void, without its knowledge, or before it knew of them at all. */
  settled: number;
  /** Tokens of the book that the log had lost: promised anew. */
  repromised: number;
}

export interface BookkeeperOptions {
  readonly bucket: number;
  readonly log: Pick<GrantLog, 'at'>;
  readonly reader: Pick<LogReader, 'begin' | 'compared' | 'end' | 'drained'>;
  readonly book: RestorableBook;
  readonly ledger: Pick<Ledger, 'wallet' | 'creditedOrdersOf'>;
  /** The bucket's, as its creditor passes them. */
  readonly fences: Fences;
  /** Promises an order again. */
  readonly promise: (order: Order) => Promise<unknown>;
  readonly logger: Logger;
  readonly onSwept?: (swept: Swept) => void;
  readonly intervalMs?: number;
  /**
   * How long a book that has forgotten something must have stayed as it is before it is filled and called whole again,
   * in ms: other processes may find it back later, and still have to say that they kept something from it. Default 0.
   */
  readonly calmMs?: number;
}

export interface Bookkeeper {
  start(): void;
  stop(): Promise<void>;
  /** Looks once at everything. Throws a RetryableFault when a part is away: nothing is half done that matters. */
  sweepOnce(): Promise<Swept>;
}

/** The log says "there is none" with a plain Error; a fault, or damage, says nothing of the kind. */
function absent(error: unknown): undefined {
  if ((error as Error).name !== 'Error') throw error;
}

const isOf = (one: SliceUnit, other: SliceUnit): boolean =>
  one.sliceId === other.sliceId && one.epoch === other.epoch && one.index === other.index;

const INTERVAL_MS = 5_000;
const FAILURES_MAX = 24;
/** What only waits for its turn is compared with the log once a minute: a backlog is no reason to read it all again. */
const THOROUGH_EVERY = 12;
const READS_AT_ONCE = 32;

/**
 * Repairs what a bucket's book and log have missed of one another, without a person: a book that forgot (a failover, a
 * flush, a time switched off) is filled again from the log; what the book has and the log has lost is promised anew;
 * what was credited behind the book's back leaves it. The bucket's owner does it, beside crediting.
 */
export function createBookkeeper(options: BookkeeperOptions): Bookkeeper {
  const { bucket, log, reader, book, ledger } = options;
  const logger = options.logger.child({ bucket });
  const pauses = createPauses();
  let running: Promise<void> = Promise.resolve();
  let sweeps = 0;
  const begin = (): LogSequence => reader.begin?.() ?? 1;

  /** Every grant of the log that counts, noted as what it is by now. The fences are met on the way. */
  async function refill(state: string): Promise<number> {
    const fences: Fences = new Map();
    let orders = 0;
    for (let first = begin(); first <= reader.end(); first += READS_AT_ONCE) {
      if (pauses.stopped) return orders;
      const last = Math.min(reader.end(), first + READS_AT_ONCE - 1);
      const sequences = Array.from({ length: last - first + 1 }, (_, at) => first + at);
      for (const record of await Promise.all(sequences.map((sequence) => log.at(sequence).catch(absent))))
        if (record) orders += await note(record, fences);
    }
    if (await book.markWhole(bucket, state)) return orders;
    throw new RetryableFault('book-unavailable', 'the book missed something while it was filled', 200);
  }

  async function note(record: LogRecord, fences: Fences): Promise<number> {
    if (record.kind === 'fence') {
      passFence(fences, record.sliceId, record.epoch, record.sequence);
      return 0;
    }
    const all = record.orders.map((order, leafIndex) => ({
      order,
      position: { sequence: record.sequence, leafIndex },
    }));
    const counting = all.filter(({ order }) => !isVoid(fences, order.unit, record.sequence));
    const late = await creditedAmong(all.filter((entry) => !counting.includes(entry)));
    await book.record([...counting, ...late], begin());
    const credited = record.sequence <= reader.drained() ? [...counting, ...late] : late;
    if (credited.length > 0)
      await book.advance(
        credited.map(({ order }) => order),
        TOKEN_STATUS.credited,
      );
    return counting.length + late.length;
  }

  /**
   * What stands behind its fence and was credited before the fence was set was won: without the log, and replayed only
   * when that was back; or in a log that was lost, for one that was made anew has the fences of all closed slices before
   * everything. This is where it stands now. A void order may have the number of one that was won later.
   */
  async function creditedAmong<Entry extends Pick<BookEntry, 'order'>>(
    late: readonly Entry[],
  ): Promise<Entry[]> {
    if (late.length === 0) return [];
    const credited = await ledger.creditedOrdersOf(late.map(({ order }) => order));
    return late.filter(({ order }, at) =>
      credited[at]!.some((one) => one.orderNumber === order.orderNumber && isOf(one.unit, order.unit)),
    );
  }

  /** The records that were compared with the book already: they do not change. */
  let compared = new Map<LogSequence, LogRecord | undefined>();

  /** Undefined when the log has no such record (any more). */
  async function recordAt(sequence: LogSequence): Promise<LogRecord | undefined> {
    if (!compared.has(sequence)) compared.set(sequence, await log.at(sequence).catch(absent));
    return compared.get(sequence);
  }

  async function isInLog({ order, position }: BookEntry): Promise<boolean> {
    const record = await recordAt(position.sequence);
    return record?.kind === 'grants' && record.orders[position.leafIndex]?.orderNumber === order.orderNumber;
  }

  async function isCredited({ actId, phaseKey, orderNumber }: Order): Promise<boolean> {
    const { credited } = await ledger.wallet({ actId, phaseKey }, [orderNumber]);
    return credited.has(orderNumber);
  }

  async function look(
    entry: BookEntry,
    drained: LogSequence,
    isThorough: boolean,
    swept: Swept,
  ): Promise<void> {
    if (!isThorough && entry.position.sequence > drained) return;
    const inLog = await isInLog(entry);
    // Its turn is yet to come, or came while the book was being read.
    if (inLog && entry.position.sequence > drained) return;
    if (await isCredited(entry.order)) {
      await book.advance([entry.order], TOKEN_STATUS.credited);
      swept.settled += 1;
      return;
    }
    // Behind its slice's fence: its creditor could not tell the book.
    if (inLog && isVoid(options.fences, entry.order.unit, entry.position.sequence)) {
      await book.advance([entry.order], TOKEN_STATUS.credited);
      swept.settled += 1;
      return;
    }
    // Lost by the log, or never delivered by it (replicas that differed): the ledger's key makes a repeat harmless.
    await options.promise(entry.order);
    swept.repromised += 1;
  }

  async function sweepOnce(): Promise<Swept> {
    const swept: Swept = { refilled: 0, settled: 0, repromised: 0 };
    const { whole, state } = await book.wholeness(bucket);
    if (!whole) {
      // Nothing can have been kept from the book of an empty log: nobody waits on a fresh cluster.
      if (reader.end() > 0) await pauses.pause(options.calmMs ?? 0);
      // Whoever still keeps something from it would only have it filled in vain.
      if (pauses.stopped || (await book.wholeness(bucket)).state !== state) return swept;
      swept.refilled = await refill(state);
    }
    compared = new Map();
    const isThorough = swept.refilled > 0 || sweeps % THOROUGH_EVERY === 0;
    sweeps += 1;
    // The book is told before a record counts as drained: what still waits behind this mark has missed it.
    const drained = reader.drained();
    for await (const entry of book.pendingIn(bucket)) {
      if (pauses.stopped) return swept;
      await look(entry, drained, isThorough, swept);
    }
    if (swept.refilled + swept.settled + swept.repromised > 0) {
      // That a credit was faster than the gateway's note of the order is ordinary.
      logger[swept.refilled + swept.repromised > 0 ? 'warn' : 'info'](
        swept,
        'the book and the log of a bucket had missed something of one another; it is mended',
      );
      options.onSwept?.(swept);
    }
    reader.compared?.();
    return swept;
  }

  async function run(): Promise<void> {
    for (let failures = 0; !pauses.stopped; ) {
      await sweepOnce().catch((error: Error) => {
        failures += 1;
        // Slices may not wait for ever for a book that is gone.
        if (failures === FAILURES_MAX) reader.compared?.();
        if (!(error instanceof RetryableFault)) logger.error({ err: error }, 'a bucket could not be swept');
        else logger.info({ reason: error.message }, 'a bucket could not be swept yet');
      });
      await pauses.pause(options.intervalMs ?? INTERVAL_MS);
    }
  }

  return {
    sweepOnce,
    start() {
      running = run();
    },
    async stop() {
      pauses.stop();
      await running;
    },
  };
}
