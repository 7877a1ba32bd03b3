import { describe, expect, it } from 'vitest';
import { backOffMs } from './back-off.ts';

const at = (random: number) => ({ firstMs: 500, maxMs: 30_000, random: () => random });
const ALMOST_ONE = 1 - Number.EPSILON;

describe('the pause before the next try', () => {
  it.each([
    // failures  longest pause
    [0, 500],
    [1, 1_000],
    [2, 2_000],
    [5, 16_000],
    [6, 30_000],
    [16, 30_000],
    [1_000_000, 30_000],
  ])('after %i failures is anything up to %i ms', (failures, longest) => {
    expect(backOffMs(failures, at(0))).toBe(0);
    expect(backOffMs(failures, at(0.5))).toBe(longest / 2);
    expect(backOffMs(failures, at(ALMOST_ONE))).toBe(longest);
  });
});
