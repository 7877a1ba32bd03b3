import type { Account, CreditedOrder, OrderName } from '../engines/ports.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { SliceId } from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import { type Base, writes } from './partition.ts';
import creditedAmongSql from './sql/credited-among.sql';
import creditedOfSql from './sql/credited-of.sql';

/** The arguments of guard_read for many accounts. */
function readsAll(buckets: number | undefined, accounts: readonly Account[]) {
  const [count, asked] = writes(
    buckets,
    accounts.map((account) => account.actId),
  );
  return [count, asked ?? [null]];
}

/** Whether each of these orders is credited, in their order: one statement, of one moment. */
export async function areCredited({ pool, buckets }: Base, orders: readonly OrderName[]): Promise<boolean[]> {
  if (orders.length === 0) return [];
  const { rows } = await pool.query<{ places: number[] }>({
    name: 'ledger-credited-among',
    text: creditedAmongSql,
    values: [
      orders.map((order) => order.actId),
      orders.map((order) => order.phaseKey),
      orders.map((order) => order.orderNumber),
      ...readsAll(buckets, orders),
    ],
  });
  const credited = new Set(rows[0]!.places);
  return orders.map((_, index) => credited.has(index + 1));
}

/** The posting of a credited order. */
export interface CreditedRow {
  readonly ref: OrderNumber;
  readonly amount_fen: bigint;
  readonly at_ms: bigint;
  readonly slice_id: bigint;
  readonly slice_epoch: number;
  readonly slice_index: number;
}

interface PlacedRow extends CreditedRow {
  /** Of its account among those that were asked for, from 1. */
  readonly place: number;
}

const creditedOf = (row: CreditedRow): CreditedOrder => ({
  orderNumber: row.ref,
  amountFen: row.amount_fen as Fen,
  drawnAtMs: instantMs(Number(row.at_ms)),
  unit: { sliceId: row.slice_id as SliceId, epoch: row.slice_epoch, index: row.slice_index },
});

/** The orders of each account, in the accounts' order: one statement, of one moment. */
export async function creditedOrdersOf(
  { pool, buckets }: Base,
  accounts: readonly Account[],
): Promise<CreditedOrder[][]> {
  if (accounts.length === 0) return [];
  const { rows } = await pool.query<PlacedRow>({
    name: 'ledger-credited-of',
    text: creditedOfSql,
    values: [
      accounts.map((account) => account.actId),
      accounts.map((account) => account.phaseKey),
      ...readsAll(buckets, accounts),
    ],
  });
  const byAccount = accounts.map((): CreditedOrder[] => []);
  for (const row of rows) byAccount[row.place - 1]!.push(creditedOf(row));
  return byAccount;
}
