import { atLeast, NOTHING_GIVEN, plus } from '../../rules/hot-total.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { HotTotal, HotTotals } from '../ports.ts';

/** One process alone: its own sum is the total, or what its ledger has credited. */
export function createMemoryHotTotals(): HotTotals {
  const sums = new Map<PhaseKey, HotTotal>();
  const credited = new Map<PhaseKey, Map<string, HotTotal>>();
  const sumOf = (phaseKey: PhaseKey): HotTotal => sums.get(phaseKey) ?? NOTHING_GIVEN;
  return {
    add: (phaseKey, given) => void sums.set(phaseKey, plus(sumOf(phaseKey), given)),
    confirm(phaseKey, database, sum) {
      const ofPhase = credited.get(phaseKey) ?? new Map<string, HotTotal>();
      credited.set(phaseKey, ofPhase.set(database, atLeast(ofPhase.get(database) ?? NOTHING_GIVEN, sum)));
    },
    async read(phaseKey) {
      return atLeast(
        sumOf(phaseKey),
        [...(credited.get(phaseKey)?.values() ?? [])].reduce(plus, NOTHING_GIVEN),
      );
    },
    async close() {},
  };
}
