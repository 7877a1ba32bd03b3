import { planMoves } from '../../rules/plan-moves.ts';
import { type MoverOptions, moveBucket } from './move-bucket.ts';

/**
 * Finishes moves that were broken off. Returns how many. For the start of control: a mover that died in the moment of
 * a hand-over left a bucket that nobody owns. One that is still at work notices (MoveTaken).
 */
export async function finishMoves(options: MoverOptions): Promise<number> {
  const plan = await options.map.read();
  let moved = 0;
  for (const { bucket, target } of plan?.moves ?? []) {
    if (await moveBucket(options, bucket, target)) moved += 1;
  }
  return moved;
}

/**
 * Finishes moves that were broken off, then spreads the buckets evenly over the shards, one after the other. Returns
 * how many it moved. May be broken off and called again.
 */
export async function rebalance(options: MoverOptions): Promise<number> {
  let moved = await finishMoves(options);
  const plan = await options.map.read();
  if (!plan) throw new Error('There is no plan of the ledger’s shards yet. Found the cluster first.');
  const names = plan.shards.map((shard) => shard.name);
  for (const { bucket, target } of planMoves(names, plan.placement, plan.moves)) {
    if (await moveBucket(options, bucket, target)) moved += 1;
  }
  return moved;
}
