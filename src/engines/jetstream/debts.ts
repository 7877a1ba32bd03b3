import type { LogSequence } from '../ports.ts';

/**
 * What a gateway's journal has and the streams have not confirmed. Records are opened in the journal's order, and
 * confirmed in any.
 */
export function createDebts(drained: LogSequence, buckets: number) {
  /** In the order of their sequences, because a Set remembers in which order it was filled. */
  const open = new Set<LogSequence>();
  const owed = Array.from({ length: buckets }, () => new Set<LogSequence>());
  let newest = drained;

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
    /** The stream has it. */
    confirmed(sequence: LogSequence, bucket: number): void {
      open.delete(sequence);
      owed[bucket]!.delete(sequence);
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
