const PACKETS_MIN = 100;
const PACKETS_MAX = 20_000;
const SPENT_SOON_MS = 1_000;
const SPENT_LATE_MS = 10_000;

/**
 * How many packets are leased next, after a slice that was wanted with so many: a slice should last some seconds, so
 * that nobody waits for a database a hundred times a second, and a crash keeps little from the budget for a while.
 * `lastedMs`: from the lease to the last packet, or to when the rest went back.
 */
export function nextSlicePackets(wanted: number, lastedMs: number, isSpent: boolean): number {
  if (isSpent && lastedMs < SPENT_SOON_MS) return Math.min(PACKETS_MAX, wanted * 4);
  if (!isSpent || lastedMs > SPENT_LATE_MS) return Math.max(PACKETS_MIN, Math.ceil(wanted / 2));
  return wanted;
}

export const FIRST_SLICE_PACKETS = PACKETS_MIN;
