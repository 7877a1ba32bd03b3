import type { Budget } from '../campaign/snapshot.ts';

const LOW_PERCENT = 10;

/** A budget, and what of it is neither leased nor given. */
export interface Stock {
  readonly total: Budget;
  readonly remaining: Budget;
}

/**
 * Under 10 %: upstreams give the consolation award from here on, so that it happens before the stock is gone (seed 2022,
 * 4.4). What is leased does not count as remaining: in a rush nearly all of it is given within seconds but is counted
 * only when its slice is closed, a minute later. A warning that comes early costs nothing, and idle slices come back.
 */
export const isLow = ({ total, remaining }: Stock): boolean =>
  remaining.packets * 100 < total.packets * LOW_PERCENT ||
  remaining.fen * 100n < total.fen * BigInt(LOW_PERCENT);
