/** A token bucket as plain data; `perSecond` undefined is no limit. It holds at most one second's worth, or one. */
export interface RateState {
  perSecond: number | undefined;
  allowance: number;
  atMs: number;
}

/**
 * What passes together waits together for this long, in ms: a ledger that is allowed 1,000 credits a second is asked
 * 20 times for 50, not 1,000 times for one. Too short to be seen by whoever changes the rate.
 */
const STEP_MS = 50;

/** An empty bucket. Throws a RangeError for a rate that is none: negative, infinite or not a number. */
export function newRate(perSecond: number | undefined, nowMs: number): RateState {
  if (perSecond !== undefined && !(Number.isFinite(perSecond) && perSecond >= 0)) {
    throw new RangeError(`a rate is a number of at least 0 a second, not ${perSecond}`);
  }
  return { perSecond, allowance: 0, atMs: nowMs };
}

/** How many of `wanted` may pass now; zero until a whole step may. Changes the state: what is taken is spent. */
export function takeUpTo(state: RateState, wanted: number, nowMs: number): number {
  if (state.perSecond === undefined) return wanted;
  const elapsedMs = Math.max(0, nowMs - state.atMs);
  state.atMs = nowMs;
  const full = Math.max(1, state.perSecond);
  state.allowance = Math.min(full, state.allowance + (elapsedMs * state.perSecond) / 1_000);
  if (state.allowance < stepOf(state.perSecond, wanted)) return 0;
  const taken = Math.min(wanted, Math.floor(state.allowance));
  state.allowance -= taken;
  return taken;
}

/** When some of `wanted` may pass, in ms from the last taking; undefined when never (a rate of zero). */
export function waitMs(state: RateState, wanted: number): number | undefined {
  if (state.perSecond === undefined) return 0;
  if (state.perSecond <= 0) return undefined;
  const missing = stepOf(state.perSecond, wanted) - state.allowance;
  return Math.max(1, Math.ceil((missing * 1_000) / state.perSecond));
}

const stepOf = (perSecond: number, wanted: number): number =>
  Math.max(1, Math.min(wanted, Math.floor((perSecond * STEP_MS) / 1_000)));
