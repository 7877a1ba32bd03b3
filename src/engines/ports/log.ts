import type { ReadableToken } from '../../protocol/token-codec.ts';
import type { SliceId } from '../../vocabulary/ids.ts';
import type { Order, SliceUnit } from '../../vocabulary/order.ts';

/** What one signature holds: the ciphertexts of a micro-batch, in the order of its orders. */
export interface BatchSeal {
  readonly keyId: number;
  /** 8 bytes, once per key; with the leaf's index (big-endian uint32) they are the GCM nonce. */
  readonly nonce: Uint8Array;
  /** AES-256-GCM of each token, 16-byte tag at the end. */
  readonly ciphertexts: readonly Uint8Array[];
  /** Ed25519 over the tree's head, 64 bytes. */
  readonly signature: Uint8Array;
}

/** A micro-batch on its way into the log. The orders stand in the clear too: recovery and crediting need no keys. */
export interface MicroBatch {
  readonly orders: readonly Order[];
  /** The same orders, as the bytes that were encrypted: sealing makes them, and no log makes them again. */
  readonly tokens: readonly ReadableToken[];
  readonly seal: BatchSeal;
}

/** Position of a record in the log: 1, 2, 3 … without gaps. 0 stands before the first. */
export type LogSequence = number;

export interface LogPosition {
  readonly sequence: LogSequence;
  readonly leafIndex: number;
}

export type LogRecord =
  | ({ readonly kind: 'grants'; readonly sequence: LogSequence } & MicroBatch)
  /** What stands behind a fence with this slice and epoch (or an older one) is void: nobody was told "won". */
  | {
      readonly kind: 'fence';
      readonly sequence: LogSequence;
      readonly sliceId: SliceId;
      readonly epoch: number;
    };

/** The promises of one bucket (docs/decisions/0006); the embedded engine has a single one. */
export interface GrantLog {
  /**
   * Makes a micro-batch durable; resolves only after the fsync. Throws `RetryableFault('log-unavailable')` when the
   * log refuses (disk full, closed, failed): then nothing of the batch will ever be read from it, unless the fault's
   * kind is `outcome-unknown`.
   */
  append(batch: MicroBatch): Promise<LogSequence>;
  /** Durable as `append`; every append that was asked for before stands before it. */
  appendFence(unit: Pick<SliceUnit, 'sliceId' | 'epoch'>): Promise<LogSequence>;
  /** One record. Throws a plain Error when there is none. */
  at(sequence: LogSequence): Promise<LogRecord>;
  /**
   * The last record that stands in the log at a moment behind the call, whoever appended it; 0 when there is none. Not
   * what has arrived here (`LogReader.end`): the log itself is asked. Throws `RetryableFault('log-unavailable')` when
   * it can't be.
   */
  endNow(): Promise<LogSequence>;
  /** Resolves once everything up to here was acknowledged by whoever credits; rejects when the signal aborts. */
  untilDrained(sequence: LogSequence, signal: AbortSignal): Promise<void>;
  /** Whether an append would be accepted now; the reason when not. */
  health(): { readonly accepting: boolean; readonly reason?: string };
  close(): Promise<void>;
}

/** The same bucket for its one reader, 5-credit. */
export interface LogReader {
  /** Durable records after `after`, oldest first: whole records, stopping once `ordersMax` orders are reached. */
  read(after: LogSequence, ordersMax: number): Promise<readonly LogRecord[]>;
  /** The place of the first record; 1, but behind that in a log that was made anew after it was lost. */
  begin?(): LogSequence;
  /** Told once the book was compared with it, and what only the book had is promised anew; or the book is away. */
  compared?(): void;
  /** The last durable record. */
  end(): LogSequence;
  /** Everything up to here is in the ledger; may be behind after a restart, never ahead. */
  drained(): LogSequence;
  /** Moves `drained` forward. Not fsynced: crediting again is harmless. */
  acknowledge(sequence: LogSequence): Promise<void>;
  /** Resolves once `end()` is beyond `after`, or when the signal aborts. */
  beyond(after: LogSequence, signal: AbortSignal): Promise<void>;
}
