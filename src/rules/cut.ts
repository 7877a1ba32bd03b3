import { type Refusal, refuse } from '../protocol/failures.ts';

/** A uniformly random integer from 0 up to, not including, `below`. */
export type RandomBelow = (below: bigint) => bigint;

/**
 * Cuts `totalFen` into `count` packets by double mean: each packet is uniform between 1 fen and twice the mean of
 * what is left, less one (so that its expectation is that mean), bounded so that the rest stays payable: every later
 * packet at least 1 fen and at most `capFen`. The sum is exactly `totalFen`, because the last packet is what is left
 * and the bounds keep it within [1, cap].
 *
 * Refuses (budget-exhausted) what can't be cut: fewer fen than packets, more than count × cap, or no packets at all.
 */
export function cutDoubleMean(
  totalFen: bigint,
  count: number,
  capFen: bigint,
  randomBelow: RandomBelow,
): bigint[] | Refusal {
  const refusal = cutRefusal(totalFen, count, capFen);
  if (refusal) return refusal;
  const packets: bigint[] = [];
  let left = totalFen;
  for (let rest = BigInt(count); rest > 1n; rest -= 1n) {
    const later = rest - 1n;
    // The later packets can take at most later × cap, and need at least later × 1.
    const least = max(1n, left - later * capFen);
    const most = min(min(capFen, left - later), max((2n * left) / rest - 1n, least));
    const packet = least + randomBelow(most - least + 1n);
    packets.push(packet);
    left -= packet;
  }
  packets.push(left);
  return packets;
}

/** Every packet the same; refused unless the total is exactly that. */
export function cutFixed(totalFen: bigint, count: number, capFen: bigint): bigint[] | Refusal {
  const refusal = cutRefusal(totalFen, count, capFen);
  if (refusal) return refusal;
  if (totalFen % BigInt(count) !== 0n)
    return refuse('budget-exhausted', `${totalFen} fen do not make ${count} equal packets`);
  return Array.from({ length: count }, () => totalFen / BigInt(count));
}

function cutRefusal(totalFen: bigint, count: number, capFen: bigint): Refusal | undefined {
  if (!Number.isSafeInteger(count) || count < 1)
    return refuse('budget-exhausted', `${count} packets can't be cut`);
  if (totalFen < BigInt(count))
    return refuse('budget-exhausted', `${totalFen} fen are too few for ${count} packets of at least 1 fen`);
  if (totalFen > BigInt(count) * capFen) {
    return refuse(
      'budget-exhausted',
      `${totalFen} fen are too many for ${count} packets of at most ${capFen} fen`,
    );
  }
  return undefined;
}

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
