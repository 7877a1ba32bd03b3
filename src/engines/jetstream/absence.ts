import type { Clock } from '../../vocabulary/instant.ts';

/**
 * A stream that is gone is made anew, so "there is none" must be more than a moment's answer. It is the answer of the
 * leader of the servers' own group, who has a quorum of them behind him; but one who has just been elected, or a server
 * that is still reading its disk, may say so for a moment of what is there.
 */
const PROOF_MS = 15_000;
const ANSWERS_MIN = 5;

/** For how long, and how often in a row, something was said not to be there. */
export function createAbsence(clock: Pick<Clock, 'monotonicMs'>, proofMs = PROOF_MS) {
  let sinceMs: number | undefined;
  let answers = 0;

  return {
    /** It is there, or nobody could say: the proof begins again. */
    broken(): void {
      sinceMs = undefined;
      answers = 0;
    },
    /** Another answer that there is none; true when that is proof enough. */
    confirm(): boolean {
      const nowMs = clock.monotonicMs();
      sinceMs ??= nowMs;
      answers += 1;
      return nowMs - sinceMs >= proofMs && (answers >= ANSWERS_MIN || proofMs === 0);
    },
  };
}

export type Absence = ReturnType<typeof createAbsence>;
