import type { Pool, PoolClient } from 'pg';
import type { Account } from '../engines/ports.ts';
import { bucketOf } from '../vocabulary/bucket.ts';
import type { ActId } from '../vocabulary/ids.ts';
import guardWriteSql from './sql/guard-write.sql';

/** One database of the ledger. */
export interface Base {
  readonly pool: Pool;
  /** The cluster's count of buckets when this database is a shard of it; undefined for a ledger that is alone. */
  readonly buckets: number | undefined;
}

/** What guard_write and guard_read raise when the database does not hold a bucket (any more, or yet). */
const BUCKET_MOVED = 'HB001';

export const isBucketMoved = (error: unknown): boolean =>
  (error as { code?: unknown } | null)?.code === BUCKET_MOVED;

/** The buckets of these people, rising: the order in which everybody locks them. */
export function bucketsOf(actIds: Iterable<ActId>, buckets: number): number[] {
  const found = new Set<number>();
  for (const actId of actIds) found.add(bucketOf(actId, buckets));
  return [...found].sort((a, b) => a - b);
}

/** The first two arguments of guard_write. */
export const writes = (
  buckets: number | undefined,
  actIds: Iterable<ActId>,
): [number | null, number[] | null] =>
  buckets === undefined ? [null, null] : [buckets, bucketsOf(actIds, buckets)];

/** The arguments of guard_read. */
export const reads = (buckets: number | undefined, account: Account): [number | null, number | null] =>
  buckets === undefined ? [null, null] : [buckets, bucketOf(account.actId, buckets)];

/** First statement of a transaction that writes these accounts. */
export async function guardWrite(
  client: PoolClient,
  buckets: number | undefined,
  accounts: readonly Account[],
): Promise<void> {
  const actIds = accounts.map((account) => account.actId);
  await client.query({
    name: 'ledger-guard-write',
    text: guardWriteSql,
    values: [...writes(buckets, actIds), actIds, accounts.map((account) => account.phaseKey)],
  });
}

/** Before a transaction reads a balance to take from it: one at a time takes (0006-balances.sql). */
export async function lockAccount(client: PoolClient, account: Account): Promise<void> {
  await client.query('SELECT ledger.lock_account($1, $2)', [account.actId, account.phaseKey]);
}
