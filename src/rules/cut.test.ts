import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isRefusal } from '../protocol/failures.ts';
import { cutDoubleMean, cutFixed } from './cut.ts';

const drawFrom =
  (draws: readonly number[]): ((below: bigint) => bigint) =>
  (below) => {
    drawFrom.at += 1;
    return BigInt(draws[drawFrom.at % draws.length]!) % below;
  };
drawFrom.at = 0;

const draws = fc.array(fc.maxSafeNat(), { minLength: 1, maxLength: 50 });
const money = fc.oneof(fc.bigInt(1n, 5_000n), fc.bigInt(1n, 2n ** 53n - 1n));

describe('the double-mean cut', () => {
  it('sums exactly, and keeps every packet within 1 fen and the cap, for all that it accepts', () => {
    fc.assert(
      fc.property(money, fc.integer({ min: 1, max: 400 }), money, draws, (total, count, cap, random) => {
        const cut = cutDoubleMean(total, count, cap, drawFrom(random));
        const payable = total >= BigInt(count) && total <= BigInt(count) * cap;
        expect(isRefusal(cut)).toBe(!payable);
        if (isRefusal(cut)) return;
        expect(cut).toHaveLength(count);
        expect(cut.reduce((sum, one) => sum + one, 0n)).toBe(total);
        expect(cut.every((one) => one >= 1n && one <= cap)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  it('holds at both edges: all of 1 fen, all at the cap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.bigInt(1n, 10_000n), draws, (count, cap, random) => {
        const least = cutDoubleMean(BigInt(count), count, cap, drawFrom(random));
        const most = cutDoubleMean(BigInt(count) * cap, count, cap, drawFrom(random));
        expect(least).toEqual(Array(count).fill(1n));
        expect(most).toEqual(Array(count).fill(cap));
      }),
    );
  });

  it.each([
    [0n, 1],
    [1n, 0],
    [5n, 6],
    [-1n, 1],
    [10n, 1.5],
    [10n, Number.NaN],
  ])('refuses %s fen for %s packets', (total, count) => {
    expect(isRefusal(cutDoubleMean(total, count, 100n, () => 0n))).toBe(true);
  });

  it('cuts fixed packets only when they come out even', () => {
    expect(cutFixed(30n, 3, 10n)).toEqual([10n, 10n, 10n]);
    expect(isRefusal(cutFixed(31n, 3, 20n))).toBe(true);
    expect(isRefusal(cutFixed(33n, 3, 10n))).toBe(true);
  });
});
