import type { ActId } from './ids.ts';

/**
 * Where an account lies: one number decides the log's partition, the book's slot and the ledger's shard, so that a
 * micro-batch is of one partition, one slot and one shard (docs/decisions/0006). Counted from 0.
 *
 * Act ids are handed out in sequence, so the remainder spreads people evenly. The count never changes in the life of
 * a cluster.
 */
export const bucketOf = (actId: ActId, buckets: number): number => Number(actId % BigInt(buckets));
