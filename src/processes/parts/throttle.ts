import { startLoadMeter } from '../../guard/load-meter.ts';
import { THROTTLE_WITHOUT_LOG, type ThrottleLevel } from '../../rules/throttle.ts';
import type { Stores } from '../stores/index.ts';

export interface Throttle {
  /** How often phones may ask now. */
  level(): ThrottleLevel;
  loopDelayMsP99(): number;
  stop(): void;
}

const LOG_WATCH_MS = 250;

/** By this process's own load, and by whether the log takes promises: that is looked at now and then, not with each shake. */
export function startThrottle(logs: Stores['logs']): Throttle {
  const load = startLoadMeter();
  let isLogDown = false;
  const watch = setInterval(() => {
    isLogDown = logs.some((log) => !log.health().accepting);
  }, LOG_WATCH_MS).unref();
  return {
    level() {
      const level = load.throttle();
      return isLogDown && level.level < THROTTLE_WITHOUT_LOG.level ? THROTTLE_WITHOUT_LOG : level;
    },
    loopDelayMsP99: load.loopDelayMsP99,
    stop() {
      load.stop();
      clearInterval(watch);
    },
  };
}
