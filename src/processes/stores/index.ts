import type {
  Allotments,
  Awards,
  ControlStore,
  GrantLog,
  HotTotals,
  Ledger,
  LogPosition,
  LogReader,
  LogSequence,
  MicroBatch,
  Operators,
  Reissues,
  RestorableBook,
  Signals,
  TokenBook,
} from '../../engines/ports.ts';
import type { Fences } from '../../rules/fences.ts';
import type { Order } from '../../vocabulary/order.ts';

/** What becomes of a bucket's ownership. */
export interface BucketOwner {
  /** From now on this process credits the bucket; `fences` are those that stand before the reader's start. */
  gained(bucket: number, reader: LogReader, fences: Fences): void;
  /** Another process credits it, or nobody: resolves when nothing of it is under way here any more. */
  lost(bucket: number): Promise<void>;
}

export interface BucketOwnership {
  start(owner: BucketOwner, onFatal: (error: unknown) => void): Promise<void>;
  stop(): Promise<void>;
}

/** An order in the log that nobody was told of, and how it is counted should it be credited. */
export interface Untold {
  readonly order: Order;
  readonly position: LogPosition;
  readonly count?: () => void;
}

/** Everything that keeps something, opened and ready. Which engines stand behind it is decided here and nowhere else. */
export interface Stores {
  readonly buckets: number;
  /** For the auditor and the banner; shards are separated by spaces. */
  readonly ledgerUrl: string;
  readonly ledgerName: string;
  readonly ledger: Ledger;
  /** The ledger's pieces. */
  readonly awards: Awards;
  readonly allotments: Allotments;
  readonly control: ControlStore;
  readonly reissues: Reissues;
  readonly operators: Operators;
  /** By bucket. */
  readonly logs: readonly GrantLog[];
  readonly book: TokenBook;
  /** The book as it is filled again after it has forgotten; undefined where it can't forget. */
  readonly restorable?: RestorableBook;
  readonly ways: readonly Signals[];
  readonly ownership: BucketOwnership;
  /** Other processes lease, deal and close too: nothing may be decided from this one's memory alone. */
  readonly shared: boolean;
  /** Durable here only; replayed into the log once it is back. Where there is one log, and it is here, there is none. */
  readonly appendLocally?: (batch: MicroBatch, bucket: number) => Promise<LogSequence>;
  /** By bucket: the same log for orders that were promised before, which no total counts again. */
  readonly logsAgain?: readonly GrantLog[];
  readonly totals: HotTotals;
  /** Counts what was promised just now; undefined where the book does that, because it never forgets. */
  readonly countPromised?: (orders: readonly Order[]) => void;
  /** How an order is counted that stands in the log too late to be told; where the book counts, like any other. */
  readonly late?: (order: Order, position: LogPosition, bucket: number) => Untold;
  /** Is told of promises that nobody was told of, once they stand in the log; what to do with them is handed in. */
  readonly onUntold?: (take: (entries: readonly Untold[]) => void) => void;
  /** Leaves of a record of the own journal that were promised to nobody; without leaves, the whole of it. */
  readonly notCounted?: (sequence: LogSequence, leafIndexes?: readonly number[]) => void;
  /** What was promised without the log. */
  readonly toldUnlogged?: (orders: readonly Order[]) => void;
  /** Turns a part off or on, as operations announced. */
  setOff(off: readonly string[]): void;
  /** Lines for `status`: what is known of each engine. */
  status(): Promise<object>;
  close(): Promise<void>;
}
