import type { Pool } from 'pg';
import type { Awards, Ledger, LedgerRecord } from '../engines/ports.ts';
import type { Migration } from '../engines/postgres/migrate.ts';
import { asFault, type RetryOptions, withRetry } from '../engines/postgres/retryable.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { PhaseKey, WithdrawalId } from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import { awardsOn } from './awards.ts';
import { creditFreshOrders } from './credit.ts';
import { areCredited, creditedOrdersOf } from './credited.ts';
import { type Base, reads } from './partition.ts';
import schema from './sql/0001-ledger.sql';
import fenceSchema from './sql/0002-fence.sql';
import bucketsSchema from './sql/0003-buckets.sql';
import awardsSchema from './sql/0004-awards.sql';
import balancesSchema from './sql/0006-balances.sql';
import dueOfPhaseSchema from './sql/0007-due-of-phase.sql';
import creditedSumsSql from './sql/credited-sums.sql';
import heldBucketsSql from './sql/held-buckets.sql';
import recordsSql from './sql/records.sql';
import sliceTallySql from './sql/slice-tally.sql';
import walletSql from './sql/wallet.sql';
import { fundedAmong, moveBalance, type TransferSteps, transfersOn } from './transfers.ts';
import { creditUnlogged, fenceSlice, fencesIn, type SliceFence } from './unlogged.ts';
import { findWithdrawal, hold, markPaying, replayOf, settle, unsettled } from './withdrawals.ts';

export const ledgerMigrations: readonly Migration[] = [
  { name: 'ledger/0001-ledger', sql: schema },
  { name: 'ledger/0002-fence', sql: fenceSchema },
  { name: 'ledger/0003-buckets', sql: bucketsSchema },
  { name: 'ledger/0004-awards', sql: awardsSchema },
  { name: 'ledger/0006-balances', sql: balancesSchema },
  { name: 'ledger/0007-due-of-phase', sql: dueOfPhaseSchema },
];

/** The name of a database that is no shard; shards have names of their own. */
const ALONE = 'ledger';

interface RecordRow {
  readonly kind: LedgerRecord['kind'];
  readonly at_ms: bigint;
  readonly ref: string;
  readonly amount_fen: bigint;
  readonly state: string | null;
}

const recordOf = (row: RecordRow): LedgerRecord => {
  const line = { atMs: instantMs(Number(row.at_ms)), amountFen: row.amount_fen as Fen };
  return row.kind === 'credit'
    ? { kind: 'credit', ref: row.ref as OrderNumber, ...line }
    : { kind: 'withdrawal', ref: row.ref as WithdrawalId, state: row.state as 'held', ...line };
};

export interface LedgerOptions {
  readonly pool: Pool;
  readonly retry: RetryOptions;
  /** The cluster's count of buckets when this database is one of its shards. */
  readonly buckets?: number;
}

/** The ledger in one database: all of it, or one shard's part. What it does not hold it refuses (isBucketMoved). */
export interface OneLedger extends Ledger, Awards, TransferSteps {
  /** As `fence`; gives the buckets for which it holds from now on, wherever they move. Empty when it is alone. */
  fenceHeld(unit: Parameters<Ledger['fence']>[0]): Promise<readonly number[]>;
  /** The slices of which nothing more is credited here. */
  fences(): Promise<readonly SliceFence[]>;
  /** The buckets that this shard owns, rising. Empty when it is alone. */
  heldBuckets(): Promise<readonly number[]>;
}

/** The ledger on one Postgres. Everything here may be asked again: each act is idempotent by a key of its own. */
export function createLedger(options: LedgerOptions): OneLedger {
  const { pool } = options;
  const base: Base = { pool, buckets: options.buckets };
  const pieces = awardsOn(base);
  const transfers = transfersOn(base);
  const safely = <Result>(act: () => Promise<Result>) => withRetry(act, options.retry);
  const steps: TransferSteps = {
    sendAll: (from, to, atMs) => safely(() => transfers.sendAll(from, to, atMs)),
    receive: (transfer) => safely(() => transfers.receive(transfer)),
    arrived: (transfer) => safely(() => transfers.arrived(transfer)),
  };

  return {
    credit: (orders) => safely(() => creditFreshOrders(base, orders)),
    creditUnlogged: (orders) => safely(() => creditUnlogged(base, orders)),
    fence: (unit) => safely(async () => void (await fenceSlice(base, unit))),
    ...steps,
    moveBalance: (from, to, atMs) => moveBalance(steps, from, to, atMs),
    fundedAmong: (actIds) => safely(() => fundedAmong(base, actIds)),
    replayOf: (account, ask) => safely(() => replayOf(base, account, ask)),
    fences: () => safely(() => fencesIn(base)),
    fenceHeld: (unit) => safely(() => fenceSlice(base, unit)),
    heldBuckets: () =>
      safely(async () => (await pool.query<{ held: number[] | null }>(heldBucketsSql)).rows[0]!.held ?? []),
    wallet: (account, orderNumbers) =>
      safely(async () => {
        const { rows } = await pool.query<{
          balance_fen: bigint;
          held_fen: bigint;
          income_fen: bigint;
          moved_fen: bigint;
          credited: OrderNumber[];
        }>({
          name: 'ledger-wallet',
          text: walletSql,
          values: [account.actId, account.phaseKey, orderNumbers, ...reads(base.buckets, account)],
        });
        const row = rows[0]!;
        return {
          balanceFen: row.balance_fen as Fen,
          heldFen: row.held_fen as Fen,
          incomeFen: row.income_fen as Fen,
          movedFen: row.moved_fen as Fen,
          credited: new Set(row.credited),
        };
      }),
    areCredited: (orders) => safely(() => areCredited(base, orders)),
    creditedOrdersOf: (accounts) => safely(() => creditedOrdersOf(base, accounts)),
    records: (account, after, limit) =>
      safely(async () => {
        const { rows } = await pool.query<RecordRow>({
          name: 'ledger-records',
          text: recordsSql,
          values: [
            account.actId,
            account.phaseKey,
            after?.atMs ?? null,
            after?.ref ?? null,
            limit,
            ...reads(base.buckets, account),
          ],
        });
        return rows.map(recordOf);
      }),
    hold: (request) => safely(() => hold(base, request)),
    withdrawal: (account, id) => safely(() => findWithdrawal(base, account, id)),
    markPaying: (id, account) => safely(() => markPaying(base, id, account)),
    settle: (id, account, end, atMs) => safely(() => settle(base, id, account, end, atMs)),
    unsettled: (limit) => safely(() => unsettled(base, limit)),
    sliceTally: (phaseKey, sliceId) =>
      safely(async () => {
        const { rows } = await pool.query<{ packets: number; fen: bigint }>(sliceTallySql, [
          sliceId,
          phaseKey,
        ]);
        return { packets: rows[0]!.packets, fen: rows[0]!.fen as Fen };
      }),
    creditedSums: () =>
      safely(async () => {
        const { rows } = await pool.query<{ phase_key: number; packets: bigint; fen: bigint }>(
          creditedSumsSql,
        );
        return rows.map(({ phase_key, packets, fen }) => ({
          database: ALONE,
          phaseKey: phase_key as PhaseKey,
          credited: { fen: fen as Fen, packets: Number(packets) },
        }));
      }),
    awards: (account) => safely(() => pieces.awards(account)),
    award: (account, orderNumber) => safely(() => pieces.award(account, orderNumber)),
    dueAwards: (nowMs, limit, scenes) => safely(() => pieces.dueAwards(nowMs, limit, scenes)),
    awardsDueBehind: (afterMs, limit) => safely(() => pieces.awardsDueBehind(afterMs, limit)),
    markAsking: (account, orderNumber, claim) => safely(() => pieces.markAsking(account, orderNumber, claim)),
    stuckAwards: (triesMin, after, limit) => safely(() => pieces.stuckAwards(triesMin, after, limit)),
    awardsOnTheirWay: (nowMs) => safely(() => pieces.awardsOnTheirWay(nowMs)),
    deferAward: (account, orderNumber, next) => safely(() => pieces.deferAward(account, orderNumber, next)),
    settleAward: (account, orderNumber, end) => safely(() => pieces.settleAward(account, orderNumber, end)),
    useAward: (account, orderNumber, atMs) => safely(() => pieces.useAward(account, orderNumber, atMs)),
    deadAwards: (after, limit) => safely(() => pieces.deadAwards(after, limit)),
    replayAward: (account, orderNumber, dueAtMs) =>
      safely(() => pieces.replayAward(account, orderNumber, dueAtMs)),
    async health() {
      try {
        await pool.query('SELECT 1');
        return { reachable: true };
      } catch (error) {
        return { reachable: false, reason: (asFault(error) as Error).message };
      }
    },
    close: () => pool.end(),
  };
}
