import type { ReissueLineDue } from '../../engines/ports.ts';
import type { PhaseKey, SceneId, SliceId } from '../../vocabulary/ids.ts';

export interface UnclosedSlice {
  readonly sliceId: SliceId;
  readonly phaseKey: PhaseKey;
}

/** Scenes whose budget had nothing left when it was asked. */
export interface Exhausted {
  /** Those that wait: their lines are passed over. */
  parked(): readonly { readonly phaseKey: PhaseKey; readonly sceneId: SceneId }[];
  /**
   * Which of these lines are refused for good, and which are asked again later. `moved`: lines that were granted, or
   * may have been: their scene's units were out once more since it was counted.
   */
  note(
    lines: readonly ReissueLineDue[],
    moved: readonly ReissueLineDue[],
  ): Promise<{
    readonly final: readonly ReissueLineDue[];
    readonly again: readonly ReissueLineDue[];
  }>;
  /** Whether a scene that waited may be asked again now. */
  look(): Promise<boolean>;
}

/**
 * "Nothing left" may mean that it is leased and not given: by a gateway that will return it, or by a worker that was
 * killed. So a scene waits until every slice of its phase that was out at that moment has been counted and closed. When
 * not even one line is given then, what is refused is refused for good; when one is, a slice was out again, and the rest
 * waits once more (I4: nothing wasted, nothing refused that was there).
 */
export function createExhausted(unclosedSlices: () => Promise<readonly UnclosedSlice[]>): Exhausted {
  const waiting = new Map<string, { phaseKey: PhaseKey; sceneId: SceneId; until: Set<SliceId> }>();
  const counted = new Set<string>();
  const keyOf = ({ phaseKey, sceneId }: { phaseKey: PhaseKey; sceneId: SceneId }) => `${phaseKey}/${sceneId}`;

  return {
    parked: () => [...waiting.values()],
    async note(lines, moved) {
      for (const line of moved) counted.delete(keyOf(line));
      const final = lines.filter((line) => counted.has(keyOf(line)));
      const again = lines.filter((line) => !counted.has(keyOf(line)));
      if (again.length > 0) {
        const unclosed = await unclosedSlices();
        for (const { phaseKey, sceneId } of again) {
          if (waiting.has(keyOf({ phaseKey, sceneId }))) continue;
          const out = unclosed.filter((slice) => slice.phaseKey === phaseKey).map((slice) => slice.sliceId);
          waiting.set(keyOf({ phaseKey, sceneId }), { phaseKey, sceneId, until: new Set(out) });
        }
      }
      return { final, again };
    },
    async look() {
      const unclosed = new Set((await unclosedSlices()).map((slice) => slice.sliceId));
      let came = false;
      for (const [key, { until }] of waiting) {
        if ([...until].some((sliceId) => unclosed.has(sliceId))) continue;
        waiting.delete(key);
        counted.add(key);
        came = true;
      }
      return came;
    },
  };
}
