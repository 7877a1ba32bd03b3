import type { Allotments, SceneStock } from '../../engines/ports.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import type { PhaseKey, SceneId } from '../../vocabulary/ids.ts';
import type { Clock, InstantMs } from '../../vocabulary/instant.ts';

export interface StockRead {
  /** When the budgets were looked at. */
  readonly asOfMs: InstantMs;
  /** The asked scenes that have a budget in the phase. */
  readonly scenes: ReadonlyMap<SceneId, SceneStock>;
}

/** What scenes have left, from this process's memory: whoever asks how often, the budgets are read once a second. */
export interface Stock {
  /** At most a second old while the budgets can be read; what is known last, while they can't. */
  read(phaseKey: PhaseKey, sceneIds: readonly SceneId[]): Promise<StockRead>;
  /**
   * Whether less than 10 % is left of the scene or of a level above it, as far as is known here. Never waits: what is
   * not known is not low, and is looked up for the next who asks.
   */
  isLow(phaseKey: PhaseKey, sceneId: SceneId): boolean;
}

const KNOWN_FOR_MS = 1_000;

/** What is known of a phase: of those of its scenes that anybody has asked for. */
interface Known {
  readonly asked: Set<SceneId>;
  last: StockRead | undefined;
  freshUntilMs: number;
  /** After a fault, those who don't wait let the database alone for a while. */
  silentUntilMs: number;
  reading: Promise<void> | undefined;
}

export function createStock(allotments: Pick<Allotments, 'stock'>, clock: Clock): Stock {
  const phases = new Map<PhaseKey, Known>();

  /** The phase, with these scenes among those that are looked up. */
  function knownOf(phaseKey: PhaseKey, sceneIds: readonly SceneId[]): Known {
    const known = phases.get(phaseKey) ?? {
      asked: new Set(),
      last: undefined,
      freshUntilMs: 0,
      silentUntilMs: 0,
      reading: undefined,
    };
    phases.set(phaseKey, known);
    if (sceneIds.some((sceneId) => !known.asked.has(sceneId))) {
      for (const sceneId of sceneIds) known.asked.add(sceneId);
      known.freshUntilMs = 0;
    }
    return known;
  }

  async function look(phaseKey: PhaseKey, known: Known): Promise<void> {
    const asOfMs = clock.now();
    const askedOf = known.asked.size;
    const found = await allotments.stock(phaseKey, [...known.asked]);
    known.last = { asOfMs, scenes: new Map(found.map((one) => [one.sceneId, one])) };
    if (known.asked.size === askedOf) known.freshUntilMs = clock.monotonicMs() + KNOWN_FOR_MS;
  }

  /** One look at a time: who comes meanwhile shares it. */
  const refresh = (phaseKey: PhaseKey, known: Known): Promise<void> => {
    known.reading ??= look(phaseKey, known).finally(() => {
      known.reading = undefined;
    });
    return known.reading;
  };

  const isFresh = (known: Known): boolean => clock.monotonicMs() < known.freshUntilMs;

  return {
    async read(phaseKey, sceneIds) {
      const known = knownOf(phaseKey, sceneIds);
      try {
        while (!isFresh(known)) await refresh(phaseKey, known);
      } catch (error) {
        if (!(error instanceof RetryableFault) || !known.last) throw error;
      }
      const { asOfMs, scenes } = known.last!;
      return { asOfMs, scenes: new Map([...scenes].filter(([sceneId]) => sceneIds.includes(sceneId))) };
    },
    isLow(phaseKey, sceneId) {
      const known = knownOf(phaseKey, [sceneId]);
      if (!isFresh(known) && clock.monotonicMs() >= known.silentUntilMs) {
        // Whoever reads next meets the same fault, and can tell of it.
        refresh(phaseKey, known).catch(() => {
          known.silentUntilMs = clock.monotonicMs() + KNOWN_FOR_MS;
        });
      }
      return known.last?.scenes.get(sceneId)?.low ?? false;
    },
  };
}
