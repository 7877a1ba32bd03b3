import type { GivenTotal, Throttle } from '../client/index.ts';

const EVERY_MS = 1_000;
const EVERY_MS_MAX = 30_000;
const FAILURES_COUNTED = 5;

/** What is shown after an answer: within a phase it never goes down, whichever server or cache the answer is from. */
export function givenAfter(shown: GivenTotal | undefined, answer: GivenTotal): GivenTotal {
  if (shown?.phase !== answer.phase) return answer;
  return {
    phase: shown.phase,
    fen: Math.max(shown.fen, answer.fen),
    packets: Math.max(shown.packets, answer.packets),
  };
}

/**
 * When to ask again: once a second; as slowly as shakes when the server has asked phones to be slower; more slowly after
 * each failure. Spread, so that phones do not ask together. `draw` is from 0 up to, not including, 1.
 */
export function askAgainAfterMs(failures: number, throttle: Throttle, draw: number): number {
  const throttleMs = throttle.level === 0 ? 0 : throttle.intervalMs;
  const backOffMs = EVERY_MS * 2 ** Math.min(failures, FAILURES_COUNTED);
  return Math.min(EVERY_MS_MAX, Math.max(backOffMs, throttleMs)) * (1 + 0.25 * draw);
}
