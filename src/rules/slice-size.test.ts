import { expect, it } from 'vitest';
import { FIRST_SLICE_PACKETS, nextSlicePackets } from './slice-size.ts';

it.each([
  [100, 20, true, 400],
  [400, 999, true, 1_600],
  [10_000, 20, true, 20_000],
  [400, 1_000, true, 400],
  [400, 10_000, true, 400],
  [400, 10_001, true, 200],
  [400, 20, false, 200], // its rest went back: nobody came
  [100, 60_000, false, 100],
])('after %d packets that lasted %d ms, spent %s: %d', (wanted, lastedMs, isSpent, next) => {
  expect(nextSlicePackets(wanted, lastedMs, isSpent)).toBe(next);
});

it('finds its size from the first', () => {
  let wanted = FIRST_SLICE_PACKETS;
  // A million grants a second for a while: a slice is spent in no time until it is as big as it gets.
  for (let turn = 0; turn < 10; turn += 1) wanted = nextSlicePackets(wanted, wanted / 1_000, true);
  expect(wanted).toBe(20_000);
});
