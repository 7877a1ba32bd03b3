import type { LogSequence } from '../ports.ts';

/** How many confirmed records of a bucket are remembered, in case its servers lose them after all. */
const REMEMBERED_MAX = 4_096;

/**
 * What a gateway's journal has and the streams have not confirmed. Records are opened in the journal's order, and
 * confirmed in any.
 */
export function createDebts(drained: LogSequence, buckets: number) {
  /** In the order of their sequences, because a Set remembers in which order it was filled. */
  const open = new Set<LogSequence>();
  const owed = Array.from({ length: buckets }, () => new Set<LogSequence>());
  /** Where the newest confirmed ones stand in their streams. */
  const stands = Array.from({ length: buckets }, () => new Map<LogSequence, LogSequence>());
  let newest = drained;

  function remember(sequence: LogSequence, bucket: number, standsAt: LogSequence): void {
    const confirmed = stands[bucket]!;
    confirmed.set(sequence, standsAt);
    if (confirmed.size <= REMEMBERED_MAX) return;
    const [oldest] = confirmed.keys();
    confirmed.delete(oldest!);
  }

  return {
    /** The journal has it now. Must be called in the order of the sequences. */
    opened(sequence: LogSequence): void {
      open.add(sequence);
      newest = Math.max(newest, sequence);
    },
    /** Nobody is publishing it: it has to be replayed. */
    owe(sequence: LogSequence, bucket: number): void {
      if (open.has(sequence)) owed[bucket]!.add(sequence);
    },
    /** The stream has it, there. A fence that came over from an embedded engine stands nowhere. */
    confirmed(sequence: LogSequence, bucket: number, standsAt: LogSequence | undefined): void {
      open.delete(sequence);
      owed[bucket]!.delete(sequence);
      if (standsAt !== undefined) remember(sequence, bucket, standsAt);
    },
    /** The stream ends there now: what it had confirmed behind that is owed again. How many those are. */
    lostBehind(bucket: number, end: LogSequence): number {
      let lost = 0;
      for (const [sequence, standsAt] of stands[bucket]!) {
        if (standsAt <= end) continue;
        stands[bucket]!.delete(sequence);
        owed[bucket]!.add(sequence);
        lost += 1;
      }
      return lost;
    },
    /** It stood in a stream that is lost, or may have: wherever it stood, it is owed again. */
    oweAnew(sequence: LogSequence, bucket: number): void {
      stands[bucket]!.delete(sequence);
      owed[bucket]!.add(sequence);
    },
    /** The oldest that a bucket's stream is owed. */
    owedTo(bucket: number, max: number): LogSequence[] {
      const oldest: LogSequence[] = [];
      for (const sequence of owed[bucket]!) {
        if (oldest.length === max) break;
        oldest.push(sequence);
      }
      return oldest;
    },
    count: (): number => owed.reduce((sum, one) => sum + one.size, 0),
    /** Everything up to here is in the streams. */
    settledUpTo(): LogSequence {
      const [oldest] = open;
      return oldest === undefined ? newest : oldest - 1;
    },
  };
}

export type Debts = ReturnType<typeof createDebts>;
