import type { Pool } from 'pg';
import type { Ledger, LedgerRecord } from '../engines/ports.ts';
import type { Migration } from '../engines/postgres/migrate.ts';
import { asFault, type RetryOptions, withRetry } from '../engines/postgres/retryable.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { WithdrawalId } from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import { creditFreshOrders } from './credit.ts';
import schema from './sql/0001-ledger.sql';
import fenceSchema from './sql/0002-fence.sql';
import recordsSql from './sql/records.sql';
import sliceTallySql from './sql/slice-tally.sql';
import walletSql from './sql/wallet.sql';
import { creditUnlogged, fenceSlice } from './unlogged.ts';
import { findWithdrawal, hold, markPaying, settle, unsettled } from './withdrawals.ts';

export const ledgerMigrations: readonly Migration[] = [
  { name: 'ledger/0001-ledger', sql: schema },
  { name: 'ledger/0002-fence', sql: fenceSchema },
];

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

/** The ledger on one Postgres. Everything here may be asked again: each act is idempotent by a key of its own. */
export function createLedger(options: { pool: Pool; retry: RetryOptions }): Ledger {
  const { pool } = options;
  const safely = <Result>(act: () => Promise<Result>) => withRetry(act, options.retry);

  return {
    credit: (orders) => safely(() => creditFreshOrders(pool, orders)),
    creditUnlogged: (orders) => safely(() => creditUnlogged(pool, orders)),
    fence: (unit) => safely(() => fenceSlice(pool, unit)),
    wallet: (account, orderNumbers) =>
      safely(async () => {
        const { rows } = await pool.query<{
          balance_fen: bigint;
          held_fen: bigint;
          income_fen: bigint;
          credited: OrderNumber[];
        }>({
          name: 'ledger-wallet',
          text: walletSql,
          values: [account.actId, account.phaseKey, orderNumbers],
        });
        const row = rows[0]!;
        return {
          balanceFen: row.balance_fen as Fen,
          heldFen: row.held_fen as Fen,
          incomeFen: row.income_fen as Fen,
          credited: new Set(row.credited),
        };
      }),
    records: (account, after, limit) =>
      safely(async () => {
        const { rows } = await pool.query<RecordRow>({
          name: 'ledger-records',
          text: recordsSql,
          values: [account.actId, account.phaseKey, after?.atMs ?? null, after?.ref ?? null, limit],
        });
        return rows.map(recordOf);
      }),
    hold: (request) => safely(() => hold(pool, request)),
    withdrawal: (account, id) => safely(() => findWithdrawal(pool, account, id)),
    markPaying: (id, account) => safely(() => markPaying(pool, id, account)),
    settle: (id, account, end, atMs) => safely(() => settle(pool, id, account, end, atMs)),
    unsettled: (limit) => safely(() => unsettled(pool, limit)),
    sliceTally: (phaseKey, sliceId) =>
      safely(async () => {
        const { rows } = await pool.query<{ packets: number; fen: bigint }>(sliceTallySql, [
          sliceId,
          phaseKey,
        ]);
        return { packets: rows[0]!.packets, fen: rows[0]!.fen as Fen };
      }),
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
