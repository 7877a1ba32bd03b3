import type { Logger } from 'pino';
import { type Clock, instantMs } from '../vocabulary/instant.ts';

/** The one place that asks the machine for the time. */
export const systemClock: Clock = {
  now: () => instantMs(Date.now()),
  monotonicMs: () => performance.now(),
};

const FOLLOW_EVERY_MS = 1_000;
/** Nearer than this it is the network, not the clock. */
const APART_MS_MIN = 250;

export interface FollowingClock extends Clock {
  /** Asks the database now; a fault leaves the clock as it is. */
  follow(): Promise<void>;
  stop(): void;
}

/**
 * A clock that a step of this machine's clock does not move: wall time at the start, carried on by the monotonic one,
 * and set after control's database, so that every process of a cluster means the same moment. Leases hang on it.
 */
export function createFollowingClock(databaseNowMs: () => Promise<number>, logger: Logger): FollowingClock {
  let offsetMs = Date.now() - performance.now();
  const now = () => instantMs(Math.round(performance.now() + offsetMs));

  async function follow(): Promise<void> {
    const askedAtMs = performance.now();
    let databaseMs: number;
    try {
      databaseMs = await databaseNowMs();
    } catch {
      return;
    }
    const roundTripMs = performance.now() - askedAtMs;
    const apartMs = databaseMs + roundTripMs / 2 - now();
    if (Math.abs(apartMs) < APART_MS_MIN + roundTripMs) return;
    logger.warn({ apartMs: Math.round(apartMs) }, 'this clock was apart from the database’s and follows it');
    offsetMs += apartMs;
  }

  const timer = setInterval(() => void follow(), FOLLOW_EVERY_MS);
  timer.unref();
  return { now, monotonicMs: () => performance.now(), follow, stop: () => clearInterval(timer) };
}
