import { timingSafeEqual } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { Account, Withdrawal, WithdrawalRequest, WithdrawalState } from '../engines/ports.ts';
import { RollBack, transaction } from '../engines/postgres/transaction.ts';
import { BrokenInvariant, isRefusal, type Refusal, refuse } from '../protocol/failures.ts';
import { nextWithdrawalState } from '../rules/withdrawal-machine.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { ActId, PhaseKey, WithdrawalId } from '../vocabulary/ids.ts';
import { type InstantMs, instantMs } from '../vocabulary/instant.ts';
import { creditOrders } from './credit.ts';
import { type Base, guardWrite, lockAccount, reads } from './partition.ts';
import holdSql from './sql/hold.sql';
import markPayingSql from './sql/mark-paying.sql';
import settlePaidSql from './sql/settle-paid.sql';
import settleReturnedSql from './sql/settle-returned.sql';
import unsettledSql from './sql/unsettled.sql';
import byIdSql from './sql/withdrawal-by-id.sql';
import byKeySql from './sql/withdrawal-by-key.sql';
import lockSql from './sql/withdrawal-lock.sql';
import { partByFences } from './unlogged.ts';

interface WithdrawalRow {
  readonly act_id: bigint;
  readonly phase_key: number;
  readonly id: string;
  readonly amount_fen: bigint;
  readonly state: WithdrawalState;
  readonly requested_at_ms: bigint;
  readonly settled_at_ms: bigint | null;
}

const withdrawalOf = (row: WithdrawalRow): Withdrawal => ({
  id: row.id as WithdrawalId,
  account: { actId: row.act_id as ActId, phaseKey: row.phase_key as PhaseKey },
  amountFen: row.amount_fen as Fen,
  state: row.state,
  requestedAtMs: instantMs(Number(row.requested_at_ms)),
  ...(row.settled_at_ms === null ? {} : { settledAtMs: instantMs(Number(row.settled_at_ms)) }),
});

type Held = { readonly withdrawal: Withdrawal; readonly replayed: boolean };

/** Credits what is outstanding, then holds the amount: one transaction, one answer per idempotency key. */
export function hold(base: Base, request: WithdrawalRequest): Promise<Held | Refusal> {
  const { account, amountFen } = request;
  return transaction<Held | Refusal>(base.pool, async (client) => {
    await guardWrite(client, base.buckets, [account]);
    const earlier = await earlierOf(client, account, request);
    if (earlier) return isRefusal(earlier) ? earlier : { withdrawal: earlier, replayed: true };
    // A promise that came too late stands in no tally: its packet is somebody else's by now.
    const { counting } = await partByFences(client, request.force);
    await creditOrders(client, base.buckets, counting);
    await lockAccount(client, account);
    const { rows } = await client.query<{ held: number }>(holdSql, [
      account.actId,
      account.phaseKey,
      amountFen,
      request.id,
      request.idempotencyKey,
      Buffer.from(request.payloadHash),
      request.requestedAtMs,
    ]);
    if (rows[0]!.held !== 1) {
      throw new RollBack(
        refuse('insufficient-balance', `the balance is below the ${amountFen} fen asked for`),
      );
    }
    const withdrawal: Withdrawal = {
      id: request.id,
      account,
      amountFen,
      state: 'held',
      requestedAtMs: request.requestedAtMs,
    };
    return { withdrawal, replayed: false };
  });
}

type KeyAsk = Pick<WithdrawalRequest, 'idempotencyKey' | 'payloadHash'>;

/** One at a time has a key, until its transaction ends: who is still holding under it can't be seen otherwise. */
async function earlierOf(
  client: PoolClient,
  account: Account,
  { idempotencyKey, payloadHash }: KeyAsk,
): Promise<Withdrawal | Refusal | undefined> {
  const lock = await client.query<{ mine: boolean }>(
    'SELECT pg_try_advisory_xact_lock(hashtextextended($1, $2::bigint)) AS mine',
    [idempotencyKey, account.actId],
  );
  if (!lock.rows[0]!.mine)
    return refuse('idempotency-in-flight', 'the first request with this key is not answered yet');
  const key = [account.actId, account.phaseKey, idempotencyKey];
  const { rows } = await client.query<WithdrawalRow & { payload_hash: Buffer }>(byKeySql, key);
  if (!rows[0]) return undefined;
  return timingSafeEqual(rows[0].payload_hash, payloadHash)
    ? withdrawalOf(rows[0])
    : refuse('idempotency-key-reused', 'this key belongs to a withdrawal of other content');
}

/** The first answer to a key, without asking for anything. */
export const replayOf = (
  base: Base,
  account: Account,
  ask: KeyAsk,
): Promise<Withdrawal | Refusal | undefined> =>
  transaction(base.pool, async (client) => {
    await guardWrite(client, base.buckets, [account]);
    return earlierOf(client, account, ask);
  });

export async function findWithdrawal(
  base: Base,
  account: Account,
  id: WithdrawalId,
): Promise<Withdrawal | undefined> {
  const { rows } = await base.pool.query<WithdrawalRow>(byIdSql, [
    account.actId,
    account.phaseKey,
    id,
    ...reads(base.buckets, account),
  ]);
  return rows[0] && withdrawalOf(rows[0]);
}

export function markPaying(base: Base, id: WithdrawalId, account: Account): Promise<boolean> {
  return transaction(base.pool, async (client) => {
    await guardWrite(client, base.buckets, [account]);
    const { rowCount } = await client.query(markPayingSql, [account.actId, account.phaseKey, id]);
    return rowCount === 1;
  });
}

export async function unsettled({ pool }: Base, limit: number): Promise<readonly Withdrawal[]> {
  const { rows } = await pool.query<WithdrawalRow>(unsettledSql, [limit]);
  return rows.map(withdrawalOf);
}

/** Throws BrokenInvariant when the withdrawal has ended the other way: paid money can't come back, nor the reverse. */
export function settle(
  base: Base,
  id: WithdrawalId,
  account: Account,
  end: 'paid' | 'returned',
  atMs: InstantMs,
): Promise<Withdrawal> {
  return transaction(base.pool, async (client) => {
    await guardWrite(client, base.buckets, [account]);
    const { rows } = await client.query<WithdrawalRow>(lockSql, [account.actId, account.phaseKey, id]);
    if (!rows[0]) throw new Error(`there is no withdrawal ${id} to settle`);
    const before = withdrawalOf(rows[0]);
    const step = nextWithdrawalState(before.state, end === 'paid' ? 'payment-known' : 'rejection-known');
    if (step === 'same') return before;
    if (step === 'broken')
      throw new BrokenInvariant('I1', `withdrawal ${id} is ${before.state} and was to be ${end}`);
    await client.query(end === 'paid' ? settlePaidSql : settleReturnedSql, [
      account.actId,
      account.phaseKey,
      before.amountFen,
      id,
      atMs,
    ]);
    return { ...before, state: end, settledAtMs: atMs };
  });
}
