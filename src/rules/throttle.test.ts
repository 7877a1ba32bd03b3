import { describe, expect, it } from 'vitest';
import { CALM, nextThrottle, THROTTLE_LEVELS } from './throttle.ts';

const after = (delays: readonly number[]) =>
  delays.reduce((state, loopDelayMsP99) => nextThrottle(state, { loopDelayMsP99 }), CALM).level;
const calm = (windows: number) => Array<number>(windows).fill(5);

describe('the throttle level', () => {
  it.each([
    [[5], 0],
    [[20, 20], 0],
    [[2_000], 0],
    [[2_000, 5, 2_000, 5], 0],
    [[21, 21], 1],
    [[61, 61], 2],
    [[151, 151], 3],
    [[151, 25], 1],
    [[25, 151, 151], 3],
    [[151, 151, ...calm(4)], 3],
    [[151, 151, ...calm(5)], 2],
    [[151, 151, ...calm(15)], 0],
    [[151, 151, ...calm(4), 15, ...calm(4)], 3],
    [[151, 151, ...calm(4), 151, ...calm(4)], 3],
    [[25, 25, 15, 15, 15, 15, 15, 15], 1],
  ])('after loop delays of %j ms it is %i', (delays, level) => expect(after(delays)).toBe(level));

  it('asks for less with every level', () => {
    for (let at = 1; at < THROTTLE_LEVELS.length; at += 1) {
      expect(THROTTLE_LEVELS[at]!.intervalMs).toBeGreaterThan(THROTTLE_LEVELS[at - 1]!.intervalMs);
      expect(THROTTLE_LEVELS[at]!.localPermille).toBeGreaterThan(THROTTLE_LEVELS[at - 1]!.localPermille);
    }
  });
});
