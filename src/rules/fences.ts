import type { SliceId } from '../vocabulary/ids.ts';
import type { SliceUnit } from '../vocabulary/order.ts';

/** Slices whose fence has been passed in the log, with the epoch that it closes. */
export type Fences = Map<SliceId, number>;

export function passFence(fences: Fences, sliceId: SliceId, epoch: number): void {
  fences.set(sliceId, Math.max(epoch, fences.get(sliceId) ?? 0));
}

/** An order behind its slice's fence is void: its packet went back to the budget, and nobody was told "won". */
export const isVoid = (fences: Fences, unit: SliceUnit): boolean =>
  (fences.get(unit.sliceId) ?? 0) >= unit.epoch;
