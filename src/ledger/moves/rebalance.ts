import { planMoves } from '../../rules/plan-moves.ts';
import { type MoverOptions, moveBucket } from './move-bucket.ts';

/**
 * Finishes moves that were broken off, then spreads the buckets evenly over the shards, one after the other. Returns
 * how many it moved. May be broken off and called again.
 */
export async function rebalance(options: MoverOptions): Promise<number> {
  let moved = 0;
  const plan = await options.map.read();
  if (!plan) throw new Error('There is no plan of the ledger’s shards yet. Found the cluster first.');
  for (const { bucket, target } of [
    ...plan.moves,
    ...planMoves(
      plan.shards.map((shard) => shard.name),
      plan.placement,
      plan.moves,
    ),
  ]) {
    if (await moveBucket(options, bucket, target)) moved += 1;
  }
  return moved;
}
