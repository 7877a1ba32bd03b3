import { monitorEventLoopDelay } from 'node:perf_hooks';
import { CALM, nextThrottle, THROTTLE_LEVELS, type ThrottleLevel } from '../rules/throttle.ts';

export interface LoadMeter {
  throttle(): ThrottleLevel;
  loopDelayMsP99(): number;
  stop(): void;
}

const WINDOW_MS = 1_000;
const RESOLUTION_MS = 10;

/** Watches the event loop and names the level that phones should keep to (rules/throttle.ts). */
export function startLoadMeter(): LoadMeter {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let state = CALM;
  let loopDelayMsP99 = 0;
  const timer = setInterval(() => {
    // The histogram measures from one tick to the next, its own resolution included.
    loopDelayMsP99 = Math.max(0, histogram.percentile(99) / 1e6 - RESOLUTION_MS);
    histogram.reset();
    state = nextThrottle(state, { loopDelayMsP99 });
  }, WINDOW_MS);
  timer.unref();
  return {
    throttle: () => THROTTLE_LEVELS[state.level]!,
    loopDelayMsP99: () => loopDelayMsP99,
    stop() {
      clearInterval(timer);
      histogram.disable();
    },
  };
}
