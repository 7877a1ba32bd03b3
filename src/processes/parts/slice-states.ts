import type { Allotments } from '../../engines/ports.ts';
import { recent } from '../../guard/recent.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { SliceUnit } from '../../vocabulary/order.ts';

const KNOWN_FOR_MS = 1_000;

/**
 * Whether slices that others lease and close are open, asked of control's database at most once a second each. While
 * it is away nothing can be fenced, and what was open is taken for open: the ticket's own time still ends it.
 */
export function createSliceStates(allotments: Allotments, clock: Clock) {
  const known = recent<string, { open: boolean; untilMs: number }>(20_000);
  return {
    async isOpen(unit: SliceUnit): Promise<boolean> {
      const key = `${unit.sliceId}/${unit.epoch}`;
      const last = known.get(key);
      if (last && (!last.open || clock.monotonicMs() < last.untilMs)) return last.open;
      try {
        const open = await allotments.isOpen(unit);
        known.set(key, { open, untilMs: clock.monotonicMs() + KNOWN_FOR_MS });
        return open;
      } catch (error) {
        if (error instanceof RetryableFault) return last?.open ?? true;
        throw error;
      }
    },
  };
}
