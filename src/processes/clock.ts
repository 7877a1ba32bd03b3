import { type Clock, instantMs } from '../vocabulary/instant.ts';

/** The one place that asks the machine for the time. */
export const systemClock: Clock = {
  now: () => instantMs(Date.now()),
  monotonicMs: () => performance.now(),
};
