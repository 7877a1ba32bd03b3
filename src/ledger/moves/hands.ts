import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import type { BucketMove } from '../../engines/postgres/shard-map/index.ts';
import { transaction } from '../../engines/postgres/transaction.ts';
import nextAccountsSql from './sql/next-accounts.sql';
import rowsOfSql from './sql/rows-of.sql';
import stillMineSql from './sql/still-mine.sql';
import takeInSql from './sql/take-in.sql';

/** The first half of the buckets' advisory locks, as in 0003-buckets.sql; the second is the bucket. */
const BUCKET_LOCKS = 179_415;
/** Writers queue up behind whoever waits for the exclusive lock: longer than this they do not wait. */
const FREEZE_WAIT_MS = 3_000;
/** A mover that stops while it holds the lock loses it after this, and with it the hand-over. */
const FREEZE_IDLE_MS = 5_000;

/** A move in somebody's hands: both databases, and the name under which this attempt works. */
export interface Hands {
  readonly move: BucketMove;
  readonly buckets: number;
  readonly from: Pool;
  readonly to: Pool;
  /** Of this attempt alone: an earlier one that is still under way changes nothing any more. */
  readonly mover: string;
  readonly accountsPerStep: number;
}

/** Another attempt took over this move. */
export class MoveTaken extends Error {
  override readonly name = 'MoveTaken';
}

export interface AccountKey {
  readonly act_id: bigint;
  readonly phase_key: number;
}

interface Rows {
  readonly postings: string;
  readonly withdrawals: string;
  readonly awards: string;
}

/** A transaction in which nobody writes the bucket; those who began before it have ended. */
export const frozen = <Result>(
  pool: Pool,
  bucket: number,
  act: (client: PoolClient) => Promise<Result>,
): Promise<Result> =>
  transaction(pool, async (client) => {
    await client.query(
      `SET LOCAL lock_timeout = ${FREEZE_WAIT_MS}; SET LOCAL idle_in_transaction_session_timeout = ${FREEZE_IDLE_MS}`,
    );
    await client.query('SELECT pg_advisory_xact_lock($1, $2)', [BUCKET_LOCKS, bucket]);
    return act(client);
  });

export async function assertStillMine(
  client: PoolClient,
  { move, mover }: Hands,
  state: string,
): Promise<void> {
  const { rowCount } = await client.query(stillMineSql, [move.bucket, move.epoch, mover, state]);
  if (rowCount !== 1) throw new MoveTaken(`bucket ${move.bucket} is moved by somebody else now`);
}

export async function lastActId(db: Pool): Promise<bigint> {
  const { rows } = await db.query<{ last: bigint | null }>(
    'SELECT max(act_id) AS last FROM ledger.posting WHERE act_id > 0',
  );
  return rows[0]!.last ?? 0n;
}

const columns = (accounts: readonly AccountKey[]): [bigint[], number[]] => [
  accounts.map((account) => account.act_id),
  accounts.map((account) => account.phase_key),
];

/** The next accounts of the bucket in key order, up to a last person. */
export const nextAccounts = (
  pool: Pool,
  hands: Hands,
  after: AccountKey,
  endActId: bigint,
): Promise<AccountKey[]> =>
  transaction(pool, async (client) => {
    // The key's own order is the only good plan; by young statistics all that is left would be sorted for each page.
    await client.query(
      'SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off',
    );
    const { rows } = await client.query<AccountKey>(nextAccountsSql, [
      hands.buckets,
      hands.move.bucket,
      after.act_id,
      after.phase_key,
      hands.accountsPerStep,
      endActId,
    ]);
    return rows;
  });

export async function rowsOf(db: Pool | PoolClient, accounts: readonly AccountKey[]): Promise<Rows> {
  const { rows } = await db.query<Rows>(rowsOfSql, columns(accounts));
  return rows[0]!;
}

export const sweepValues = (hands: Hands, accounts: readonly AccountKey[]): unknown[] => [
  ...columns(accounts),
  carriedRef(hands),
];

const carriedRef = ({ move }: Hands): string => `move:${move.epoch}:${move.bucket}:${randomUUID()}`;

/** Copies these accounts as they are at the source at this moment; `then` runs in the target's transaction. */
export async function copyAccounts(
  source: Pool | PoolClient,
  hands: Hands,
  accounts: readonly AccountKey[],
  then: (client: PoolClient) => Promise<unknown> = async () => {},
): Promise<void> {
  const rows = await rowsOf(source, accounts);
  await transaction(hands.to, async (client) => {
    await assertStillMine(client, hands, 'arriving');
    await client.query(takeInSql, [rows.postings, rows.withdrawals, carriedRef(hands), rows.awards]);
    await then(client);
  });
}
