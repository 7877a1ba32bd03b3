import type { Fen } from '../../vocabulary/fen.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';

/** What was given in a phase: money (pieces are none), and packets of every kind. */
export interface HotTotal {
  readonly fen: Fen;
  readonly packets: number;
}

/**
 * What all instances together have given. Each has a running sum of its own, which begins with its process and only
 * grows, and tells it as a whole (a G-counter): telling it again after a time-out changes nothing. Readers look into
 * local memory only.
 */
export interface HotTotals {
  /** Adds to this instance's own sum. Memory only; never throws, never waits. */
  add(phaseKey: PhaseKey, given: HotTotal): void;
  /**
   * One database of the ledger has credited so much in all: the total is never below the sum over the databases, so
   * what no instance could tell is missing only until it is credited. Repeats, older sums and more than one who says so
   * change nothing. Memory only.
   */
  confirm(phaseKey: PhaseKey, database: string, credited: HotTotal): void;
  /**
   * The largest total that is known here; never less than was read here before, at most a second old while an engine
   * answers. The first look at a phase waits for data, for a bounded time, and then throws
   * `RetryableFault('totals-unavailable')`; every other one is answered from memory.
   */
  read(phaseKey: PhaseKey): Promise<HotTotal>;
  /** Tells what is not told yet, if an engine answers. */
  close(): Promise<void>;
}
