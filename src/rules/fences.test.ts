import { describe, expect, it } from 'vitest';
import type { SliceId } from '../vocabulary/ids.ts';
import { type Fences, isVoid, passFence } from './fences.ts';

const slice = 7n as SliceId;
const unit = (epoch: number, sliceId = slice) => ({ sliceId, epoch, index: 0 });

describe('a fence', () => {
  const fences: Fences = new Map();
  passFence(fences, slice, 2, 10);

  it.each([
    // epoch sequence void
    [2, 9, false],
    [2, 11, true],
    [1, 11, true],
    [3, 11, false],
  ])('of epoch 2 at 10 makes an order of epoch %d at %d void: %s', (epoch, sequence, expected) => {
    expect(isVoid(fences, unit(epoch), sequence)).toBe(expected);
  });

  it('leaves other slices alone', () => {
    expect(isVoid(fences, unit(1, 8n as SliceId), 11)).toBe(false);
  });

  it('counts where it stood first, also when it is written again after a crash, in any order of reading', () => {
    for (const sequences of [
      [10, 20],
      [20, 10],
    ]) {
      const again: Fences = new Map();
      for (const sequence of sequences) passFence(again, slice, 1, sequence);
      expect(isVoid(again, unit(1), 15)).toBe(true);
    }
  });

  it('of an older epoch does not move a newer one', () => {
    const two: Fences = new Map();
    passFence(two, slice, 2, 10);
    passFence(two, slice, 1, 5);
    expect([isVoid(two, unit(2), 8), isVoid(two, unit(2), 11)]).toEqual([false, true]);
  });

  it('without a place stands before everything', () => {
    const old: Fences = new Map();
    passFence(old, slice, 1);
    expect(isVoid(old, unit(1), 1)).toBe(true);
  });
});
