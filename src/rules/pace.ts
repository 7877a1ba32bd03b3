/** How fast a round's packets may go: plain data, changed in place, because every shake looks at it. */
export interface PaceState {
  /** Packets that may be dealt now, a fraction included. */
  allowance: number;
  atMs: number;
}

export const newPace = (nowMs: number): PaceState => ({ allowance: 0, atMs: nowMs });

/**
 * How many packets may be dealt now (seed 2015: the rate of dealing is set, because each packet is opened and shared
 * on). The rate is what remains over the time that remains, so packets that nobody asked for spread over the rest of
 * the round, and by its end all of them could be dealt; never more than one second's worth at once, so never in a
 * burst. A clock that goes back adds nothing; one that leaps adds one second's worth at most.
 */
export function refill(
  state: PaceState,
  round: { nowMs: number; startsAtMs: number; endsAtMs: number; remaining: number },
): number {
  const { nowMs, startsAtMs, endsAtMs, remaining } = round;
  if (nowMs < startsAtMs || nowMs >= endsAtMs || remaining <= 0) return 0;
  const perMs = remaining / (endsAtMs - nowMs);
  const since = Math.max(state.atMs, startsAtMs);
  const elapsedMs = Math.max(0, nowMs - since);
  state.atMs = nowMs;
  state.allowance = Math.min(state.allowance + elapsedMs * perMs, Math.max(1, perMs * 1_000));
  return Math.min(Math.floor(state.allowance + 1e-9), remaining);
}

export function spend(state: PaceState): void {
  state.allowance = Math.max(0, state.allowance - 1);
}
