import { expect, it } from 'vitest';
import { backOffMs } from './back-off.ts';

it('doubles up to the most, with half of it chance', () => {
  const pauses = { firstMs: 100, maxMs: 1_000 };
  expect([0, 1, 2, 3, 4, 5_000].map((failures) => backOffMs(pauses, failures, 0))).toEqual([
    50, 100, 200, 400, 500, 500,
  ]);
  expect([0, 1, 4].map((failures) => backOffMs(pauses, failures, 1))).toEqual([100, 200, 1_000]);
});
