import { describe, expect, it } from 'vitest';
import { askAgainAfterMs, givenAfter } from './given.ts';

const total = (fen: number, packets: number, phase = 'live') => ({ phase, fen, packets });

describe('the number that everybody sees', () => {
  it.each([
    // shown             answer                     then
    [undefined, total(0, 0), total(0, 0)],
    [total(500, 5), total(700, 7), total(700, 7)],
    [total(500, 5), total(300, 3), total(500, 5)],
    [total(500, 5), total(600, 4), total(600, 5)],
    [total(500, 5), total(9, 1, 'drill'), total(9, 1, 'drill')],
  ])('shows after %j and an answer of %j', (shown, answer, then) => {
    expect(givenAfter(shown, answer)).toEqual(then);
  });

  it('is asked for once a second, or more slowly when the server is busy or did not answer', () => {
    const throttle = (level: number) => ({ level, intervalMs: 10_000, jitterMs: 0, localPermille: 0 });
    expect(askAgainAfterMs(0, throttle(0), 0)).toBe(1_000);
    expect(askAgainAfterMs(0, throttle(0), 0.99)).toBeLessThan(1_250);
    expect(askAgainAfterMs(0, throttle(1), 0)).toBe(10_000);
    expect(askAgainAfterMs(2, throttle(0), 0)).toBe(4_000);
    expect(askAgainAfterMs(50, throttle(0), 0)).toBe(30_000);
  });
});
