/** What decides whether a slice in hand goes back. */
export interface InHand {
  /** This one and the next by the wall clock, in ms since 1970. */
  readonly nowMs: number;
  readonly dealUntilMs: number;
  /** Since somebody last came for a packet of it, by the monotonic clock: a clock that is set back keeps nothing. */
  readonly idleMs: number;
  /** Little is left of a budget that the slice is of. */
  readonly isLow: boolean;
}

const IDLE_MS_WHEN_LOW = 1_000;

/** Nothing is dealt from it any more, or nobody comes for it here while others may run short. */
export const goesBack = ({ nowMs, dealUntilMs, idleMs, isLow }: InHand): boolean =>
  nowMs >= dealUntilMs || (isLow && idleMs >= IDLE_MS_WHEN_LOW);
