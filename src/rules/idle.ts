/** What decides whether a slice in hand goes back; times in ms since 1970. */
export interface InHand {
  readonly nowMs: number;
  readonly dealUntilMs: number;
  /** When somebody last came for a packet of it. */
  readonly askedAtMs: number;
  /** Little is left of a budget that the slice is of. */
  readonly isLow: boolean;
}

const IDLE_MS_WHEN_LOW = 1_000;

/** Nothing is dealt from it any more, or nobody comes for it here while others may run short. */
export const goesBack = ({ nowMs, dealUntilMs, askedAtMs, isLow }: InHand): boolean =>
  nowMs >= dealUntilMs || (isLow && nowMs - askedAtMs >= IDLE_MS_WHEN_LOW);
