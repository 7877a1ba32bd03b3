export { addShard, prepareShards } from './moves/add-shard.ts';
export { moveBucket } from './moves/move-bucket.ts';
export { finishMoves, rebalance } from './moves/rebalance.ts';
export { createLedger, ledgerMigrations } from './one.ts';
export { openShardedLedger, type ShardedLedger } from './sharded.ts';
