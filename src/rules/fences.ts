import type { SliceId } from '../vocabulary/ids.ts';
import type { SliceUnit } from '../vocabulary/order.ts';

/** A fence in the log: at `sequence`, for the slice's leases up to `epoch`. */
export interface Fence {
  readonly epoch: number;
  readonly sequence: number;
}

/** The fences that are known, the first one of each slice's newest fenced epoch. */
export type Fences = Map<SliceId, Fence>;

/**
 * Notes a fence. A slice may be fenced again after a crash; the first fence counts, since what stood before it was
 * the slice's tally. Without a sequence the fence stands before everything that will be asked about.
 */
export function passFence(fences: Fences, sliceId: SliceId, epoch: number, sequence = 0): void {
  const known = fences.get(sliceId);
  if (known && (known.epoch > epoch || (known.epoch === epoch && known.sequence <= sequence))) return;
  fences.set(sliceId, { epoch, sequence });
}

/**
 * An order behind its slice's fence is void: its packet went back to the budget, and nobody was told "won". One that
 * stands before the fence counts, however late it is looked at.
 */
export function isVoid(fences: Fences, unit: SliceUnit, sequence: number): boolean {
  const fence = fences.get(unit.sliceId);
  return fence !== undefined && unit.epoch <= fence.epoch && sequence > fence.sequence;
}
