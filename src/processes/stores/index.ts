import type {
  Allotments,
  Awards,
  ControlStore,
  GrantLog,
  HotTotals,
  Ledger,
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
  readonly totals: HotTotals;
  /** Turns a part off or on, as operations announced. */
  setOff(off: readonly string[]): void;
  /** Lines for `status`: what is known of each engine. */
  status(): Promise<object>;
  close(): Promise<void>;
}
