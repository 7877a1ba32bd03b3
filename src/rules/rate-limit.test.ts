import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newRate, takeUpTo, waitMs } from './rate-limit.ts';

describe('a rate', () => {
  it('lets everything pass when there is no limit', () => {
    const state = newRate(undefined, 0);
    expect([takeUpTo(state, 5_000, 0), waitMs(state, 5_000)]).toEqual([5_000, 0]);
  });

  it('lets nothing pass, and says never, at zero', () => {
    const state = newRate(0, 0);
    expect([takeUpTo(state, 1, 3_600_000), waitMs(state, 1)]).toEqual([0, undefined]);
  });

  it.each([
    //  rate  wanted  after ms  taken
    [1_000, 1_000, 49, 0],
    [1_000, 1_000, 50, 50],
    [1_000, 1_000, 5_000, 1_000],
    [1_000, 3, 3, 3],
    [10, 1_000, 99, 0],
    [10, 1_000, 100, 1],
    [0.5, 1_000, 1_999, 0],
    [0.5, 1_000, 2_000, 1],
    [0.5, 1_000, 60_000, 1],
  ])('of %d a second takes, of %d wanted, after %d ms: %d', (perSecond, wanted, nowMs, taken) => {
    expect(takeUpTo(newRate(perSecond, 0), wanted, nowMs)).toBe(taken);
  });

  it('says exactly how long to wait', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 1e6, noNaN: true }),
        fc.integer({ min: 1, max: 2_000 }),
        (rate, wanted) => {
          const state = newRate(rate, 0);
          const pauseMs = waitMs(state, wanted)!;
          // One more millisecond: what adds up to one may fall short of it by a rounding.
          return takeUpTo(state, wanted, pauseMs + 1) > 0;
        },
      ),
    );
  });

  it('never lets more pass than the rate and one second’s worth allow', () => {
    const step = fc.record({
      afterMs: fc.integer({ min: 0, max: 3_000 }),
      wanted: fc.integer({ min: 1, max: 2_000 }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), fc.array(step, { maxLength: 50 }), (rate, steps) => {
        const state = newRate(rate, 0);
        let nowMs = 0;
        let total = 0;
        for (const { afterMs, wanted } of steps) {
          nowMs += afterMs;
          total += takeUpTo(state, wanted, nowMs);
          expect(total).toBeLessThanOrEqual((nowMs * rate) / 1_000 + 1e-6);
        }
      }),
    );
  });

  it('does not count a clock that goes back', () => {
    const state = newRate(1_000, 1_000);
    expect(takeUpTo(state, 10, 500)).toBe(0);
    expect(takeUpTo(state, 10, 509)).toBe(0);
    expect(takeUpTo(state, 10, 510)).toBe(10);
  });

  it.each([Number.NaN, -1, Number.POSITIVE_INFINITY])('is not %d', (perSecond) => {
    expect(() => newRate(perSecond, 0)).toThrow(RangeError);
  });
});
