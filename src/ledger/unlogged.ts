import type { Pool } from 'pg';
import type { CreditReceipt } from '../engines/ports.ts';
import { transaction } from '../engines/postgres/transaction.ts';
import type { SliceId } from '../vocabulary/ids.ts';
import type { Order, SliceUnit } from '../vocabulary/order.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import { creditOrders } from './credit.ts';
import fenceSql from './sql/slice-fence.sql';
import fencesOfSql from './sql/slice-fences-of.sql';

/** The first half of the advisory locks' keys; the second is the slice's id, folded. */
const SLICE_LOCKS = 'hashint8($1::bigint)';
const LOCK_SPACE = 0x5f1ce;

/** Waits for credits of this slice that are under way, then refuses every later one: the tally may be taken. */
export function fenceSlice(
  pool: Pool,
  { sliceId, epoch }: Pick<SliceUnit, 'sliceId' | 'epoch'>,
): Promise<void> {
  return transaction(pool, async (client) => {
    await client.query(`SELECT pg_advisory_xact_lock(${LOCK_SPACE}, ${SLICE_LOCKS})`, [sliceId]);
    await client.query(fenceSql, [sliceId, epoch]);
  });
}

/**
 * Credits orders that no log orders against their slices' fences: the shared lock does, held until the commit. Slices
 * are locked in rising order.
 */
export function creditUnlogged(
  pool: Pool,
  orders: readonly Order[],
): Promise<CreditReceipt & { readonly fenced: readonly OrderNumber[] }> {
  return transaction(pool, async (client) => {
    const slices = [...new Set(orders.map((order) => order.unit.sliceId))].sort((a, b) => (a < b ? -1 : 1));
    for (const sliceId of slices)
      await client.query(`SELECT pg_advisory_xact_lock_shared(${LOCK_SPACE}, ${SLICE_LOCKS})`, [sliceId]);
    const { rows } = await client.query<{ slice_id: SliceId; epoch: number }>(fencesOfSql, [slices]);
    const fences = new Map(rows.map((row) => [row.slice_id, row.epoch]));
    const isFenced = ({ unit }: Order): boolean =>
      unit.epoch <= (fences.get(unit.sliceId) ?? Number.NEGATIVE_INFINITY);
    const receipt = await creditOrders(
      client,
      orders.filter((order) => !isFenced(order)),
    );
    return { ...receipt, fenced: orders.filter(isFenced).map((order) => order.orderNumber) };
  });
}
