/** How often phones may ask, and which share of shakes they answer themselves. */
export interface ThrottleLevel {
  readonly level: number;
  readonly intervalMs: number;
  readonly jitterMs: number;
  readonly localPermille: number;
}

/** Seed 2015: a shake becomes a request every five to ten seconds; under load, less often, level by level. */
export const THROTTLE_LEVELS: readonly ThrottleLevel[] = [
  { level: 0, intervalMs: 5_000, jitterMs: 5_000, localPermille: 0 },
  { level: 1, intervalMs: 10_000, jitterMs: 10_000, localPermille: 200 },
  { level: 2, intervalMs: 20_000, jitterMs: 20_000, localPermille: 500 },
  { level: 3, intervalMs: 40_000, jitterMs: 40_000, localPermille: 800 },
];

/** What is told while the log is down, whatever the load: the ledger alone takes a fraction of the usual. */
export const THROTTLE_WITHOUT_LOG = THROTTLE_LEVELS[2]!;

export interface LoadWindow {
  /** 99th percentile of the event loop's delay in the last second or so. */
  readonly loopDelayMsP99: number;
}

export interface ThrottleState {
  readonly level: number;
  /** Calm windows in a row. */
  readonly calm: number;
  /** The level that the last window alone asked for. */
  readonly wanted: number;
}

export const CALM: ThrottleState = { level: 0, calm: 0, wanted: 0 };

/**
 * DAGOR (SoCC '18): more than 20 ms of queueing means overload. Up by how bad it is, once a second
 * window agrees: a window holds about a hundred samples, so that its p99 is its worst, and one pause (a start, a
 * collection of garbage) would else quieten every phone for many seconds. Down slowly.
 */
const OVERLOAD_MS = [20, 60, 150] as const;
const CALM_BELOW_MS = 10;
const CALM_WINDOWS = 5;

export function nextThrottle(state: ThrottleState, load: LoadWindow): ThrottleState {
  const wanted = OVERLOAD_MS.filter((limit) => load.loopDelayMsP99 > limit).length;
  const agreed = Math.min(wanted, state.wanted);
  if (agreed > state.level) return { level: agreed, calm: 0, wanted };
  if (load.loopDelayMsP99 >= CALM_BELOW_MS || state.level === 0)
    return { level: state.level, calm: 0, wanted };
  const isOver = state.calm + 1 >= CALM_WINDOWS;
  return isOver ? { level: state.level - 1, calm: 0, wanted } : { ...state, calm: state.calm + 1, wanted };
}
