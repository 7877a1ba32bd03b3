import type { Slice } from '../../engines/ports.ts';
import { type Fen, sumFen } from '../../vocabulary/fen.ts';
import type { Clock, InstantMs } from '../../vocabulary/instant.ts';
import type { SliceUnit } from '../../vocabulary/order.ts';

/** A slice in hand. */
export interface Held {
  readonly slice: Slice;
  /** Nothing from here on was taken. */
  nextIndex: number;
  /** Below it: taken, and put back. */
  readonly spare: number[];
  fenLeft: bigint;
  /** By the monotonic clock, as the next. */
  readonly leasedAtMs: number;
  /** When somebody last came for a unit. */
  askedAtMs: number;
}

export const hold = (slice: Slice, clock: Clock): Held => ({
  slice,
  nextIndex: 0,
  spare: [],
  fenLeft: slice.fen,
  leasedAtMs: clock.monotonicMs(),
  askedAtMs: clock.monotonicMs(),
});

/** One unit, if the slice can pay it and its time is not over. `amountFen` counts where callers name the amounts. */
export function takeUnit(
  held: Held,
  amountFen: Fen | undefined,
  clock: Clock,
): { readonly unit: SliceUnit; readonly amountFen: Fen; readonly grantUntilMs: InstantMs } | undefined {
  const { slice } = held;
  held.askedAtMs = clock.monotonicMs();
  const index = held.spare.at(-1) ?? held.nextIndex;
  if (index >= slice.packets || clock.now() >= slice.dealUntilMs) return undefined;
  const amount = slice.packetsFen?.[index] ?? amountFen!;
  if (amount > held.fenLeft) return undefined;
  if (held.spare.pop() === undefined) held.nextIndex += 1;
  held.fenLeft -= amount;
  const unit = { sliceId: slice.sliceId, epoch: slice.epoch, index };
  return { unit, amountFen: amount, grantUntilMs: slice.grantUntilMs };
}

/** A unit that was taken and paid for nothing. */
export function returnUnit(held: Held, index: number, amountFen: Fen): void {
  held.fenLeft += amountFen;
  held.spare.push(index);
}

/** Everything was dealt, and no money is left: there is nothing to give back. */
export const emptied = (held: Held): boolean =>
  held.spare.length === 0 && held.nextIndex >= held.slice.packets && held.fenLeft === 0n;

/** What can go back before the slice is closed: its end, from the last packet that was dealt; and money nobody named. */
export function restOf(held: Held): { readonly fromIndex: number; readonly fen: Fen } | undefined {
  const { slice, spare } = held;
  let fromIndex = held.nextIndex;
  while (spare.includes(fromIndex - 1)) fromIndex -= 1;
  const fen = slice.packetsFen ? sumFen(slice.packetsFen.slice(fromIndex)) : (held.fenLeft as Fen);
  return fromIndex < slice.packets || fen > 0n ? { fromIndex, fen } : undefined;
}
