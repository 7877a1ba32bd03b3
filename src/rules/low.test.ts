import { expect, it } from 'vitest';
import type { Fen } from '../vocabulary/fen.ts';
import { goesBack } from './idle.ts';
import { isLow } from './low.ts';

it.each([
  // packets, of,  fen,    of
  [100, 1_000, 1_000n, 10_000n, false],
  [99, 1_000, 1_000n, 10_000n, true],
  [100, 1_000, 999n, 10_000n, true],
  [10, 100, 0n, 0n, false], // pieces that are worth nothing
  [0, 1, 0n, 0n, true],
])('%d of %d packets and %d of %d fen: low is %s', (packets, of, fen, ofFen, low) => {
  expect(isLow({ remaining: { packets, fen: fen as Fen }, total: { packets: of, fen: ofFen as Fen } })).toBe(
    low,
  );
});

it.each([
  // now   deal until  idle   low
  [10_000, 60_000, 999, true, false],
  [10_000, 60_000, 1_000, true, true],
  [59_999, 60_000, 50_000, false, false],
  [60_000, 60_000, 0, false, true],
])(
  'at %d, dealt from until %d, idle for %d, low %s: goes back %s',
  (nowMs, dealUntilMs, idleMs, low, back) => {
    expect(goesBack({ nowMs, dealUntilMs, idleMs, isLow: low })).toBe(back);
  },
);
