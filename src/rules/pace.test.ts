import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newPace, refill, spend } from './pace.ts';

/** Deals greedily at every step of a round and returns what went out, step by step. */
function dealThrough(
  packets: number,
  lastsMs: number,
  steps: readonly number[],
): { atMs: number; dealt: number }[] {
  const pace = newPace(0);
  let dealt = 0;
  return steps.map((atMs) => {
    let may = refill(pace, { nowMs: atMs, startsAtMs: 0, endsAtMs: lastsMs, remaining: packets - dealt });
    for (; may > 0; may -= 1) {
      spend(pace);
      dealt += 1;
    }
    return { atMs, dealt };
  });
}

describe('the pace of a round', () => {
  it('never runs ahead of the schedule by more than a second’s worth, and never past the packets', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 1_000, max: 600_000 }),
        fc.integer({ min: 1, max: 3_000 }),
        (packets, lastsMs, stepMs) => {
          const steps = Array.from(
            { length: Math.min(2_000, Math.ceil(lastsMs / stepMs)) },
            (_, at) => at * stepMs,
          );
          for (const { atMs, dealt } of dealThrough(packets, lastsMs, steps)) {
            expect(dealt).toBeLessThanOrEqual(packets);
            expect(dealt).toBeLessThanOrEqual(
              (packets / lastsMs) * atMs + Math.max(1, (packets / lastsMs) * 1_000) + 1,
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('deals everything by the end when somebody always asks', () => {
    const steps = Array.from({ length: 6_000 }, (_, at) => at * 10);
    expect(dealThrough(1_000, 60_000, steps).at(-1)!.dealt).toBeGreaterThanOrEqual(999);
    expect(dealThrough(1, 60_000, steps).at(-1)!.dealt).toBe(1);
  });

  it('spreads what nobody asked for over the rest, without a burst', () => {
    const [first] = dealThrough(600, 60_000, [30_000]);
    expect(first!.dealt).toBe(20);
  });

  it('adds nothing before, after, or when the clock goes back', () => {
    const pace = newPace(0);
    const at = (nowMs: number) => refill(pace, { nowMs, startsAtMs: 1_000, endsAtMs: 2_000, remaining: 10 });
    expect([at(999), at(2_000), at(1_500) > 0]).toEqual([0, 0, true]);
    const before = pace.allowance;
    at(1_200);
    expect(pace.allowance).toBeLessThanOrEqual(before);
  });
});
