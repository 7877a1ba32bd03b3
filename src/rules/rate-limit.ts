/** A token bucket as plain data; `perSecond` undefined is no limit. Allowance is capped at one second's worth. */
export interface RateState {
  perSecond: number | undefined;
  allowance: number;
  atMs: number;
}

export const newRate = (perSecond: number | undefined, nowMs: number): RateState => ({
  perSecond,
  allowance: 0,
  atMs: nowMs,
});

/** How many may pass now, after the time that went by; at most `wanted`. Changes the state: what is taken is spent. */
export function takeUpTo(state: RateState, wanted: number, nowMs: number): number {
  if (state.perSecond === undefined) return wanted;
  const elapsedMs = Math.max(0, nowMs - state.atMs);
  state.atMs = nowMs;
  state.allowance = Math.min(
    Math.max(1, state.perSecond),
    state.allowance + (elapsedMs * state.perSecond) / 1000,
  );
  const taken = Math.min(wanted, Math.floor(state.allowance));
  state.allowance -= taken;
  return taken;
}

/** When at least one may pass again, in ms from now; undefined when never (a rate of zero). */
export function waitMs(state: RateState): number | undefined {
  if (state.perSecond === undefined) return 0;
  if (state.perSecond <= 0) return undefined;
  return Math.max(1, Math.ceil(((1 - state.allowance) * 1000) / state.perSecond));
}
