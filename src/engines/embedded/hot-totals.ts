import { atLeast, NOTHING_GIVEN, plus } from '../../rules/hot-total.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { HotTotal, HotTotals } from '../ports.ts';

/** One process alone: its own sum is the total. */
export function createMemoryHotTotals(): HotTotals {
  const sums = new Map<PhaseKey, HotTotal>();
  const sumOf = (phaseKey: PhaseKey): HotTotal => sums.get(phaseKey) ?? NOTHING_GIVEN;
  return {
    add: (phaseKey, given) => void sums.set(phaseKey, plus(sumOf(phaseKey), given)),
    restore: (phaseKey, given) => void sums.set(phaseKey, atLeast(sumOf(phaseKey), given)),
    read: async (phaseKey) => sumOf(phaseKey),
    async close() {},
  };
}
