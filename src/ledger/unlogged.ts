import type { PoolClient } from 'pg';
import type { CreditReceipt } from '../engines/ports.ts';
import { transaction } from '../engines/postgres/transaction.ts';
import type { SliceId } from '../vocabulary/ids.ts';
import { type Order, orderKey, type SliceUnit } from '../vocabulary/order.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import { creditOrders, standingAmong } from './credit.ts';
import { type Base, guardWrite } from './partition.ts';
import guardWriteSql from './sql/guard-write.sql';
import heldBucketsSql from './sql/held-buckets.sql';
import lockSlicesSql from './sql/lock-slices.sql';
import fenceSql from './sql/slice-fence.sql';
import fencesSql from './sql/slice-fences.sql';
import fencesOfSql from './sql/slice-fences-of.sql';

/** The first half of the advisory locks' keys; the second is the slice's id, folded. */
const SLICE_LOCKS = 'hashint8($1::bigint)';
const LOCK_SPACE = 0x5f1ce;

/**
 * Waits for credits of this slice that are under way, then refuses every later one: the tally may be taken. Gives the
 * buckets that it speaks for: none of them can have left while it was set, and who hands one over copies the fences.
 */
export function fenceSlice(
  { pool, buckets }: Base,
  { sliceId, epoch }: Pick<SliceUnit, 'sliceId' | 'epoch'>,
): Promise<readonly number[]> {
  return transaction(pool, async (client) => {
    const { rows } = await client.query<{ held: number[] | null }>(heldBucketsSql);
    const held = rows[0]!.held ?? [];
    await client.query(guardWriteSql, [buckets ?? null, buckets === undefined ? null : held, [], []]);
    await client.query(`SELECT pg_advisory_xact_lock(${LOCK_SPACE}, ${SLICE_LOCKS})`, [sliceId]);
    await client.query(fenceSql, [sliceId, epoch]);
    return held;
  });
}

/** Of a slice, up to this epoch. */
export type SliceFence = Pick<SliceUnit, 'sliceId' | 'epoch'>;

/** What `fenceSlice` has set so far. */
export async function fencesIn({ pool }: Base): Promise<readonly SliceFence[]> {
  const { rows } = await pool.query<{ slice_id: SliceId; epoch: number }>(fencesSql);
  return rows.map((row) => ({ sliceId: row.slice_id, epoch: row.epoch }));
}

type UnloggedReceipt = CreditReceipt & { readonly fenced: readonly OrderNumber[] };

/**
 * Credits orders that no log orders against their slices' fences: the shared lock does, held until the commit. Slices
 * are locked in rising order. What was credited before its slice was fenced is a repeat like any other.
 */
export function creditUnlogged({ pool, buckets }: Base, orders: readonly Order[]): Promise<UnloggedReceipt> {
  return transaction(pool, async (client) => {
    await guardWrite(client, buckets, orders);
    const { counting, fenced } = await partByFences(client, orders);
    return { ...(await creditOrders(client, buckets, counting)), fenced };
  });
}

/**
 * Orders that may be credited, and those whose slice was counted without them: they are void. Their slices stay as
 * they are until the transaction ends.
 */
export async function partByFences(
  client: PoolClient,
  orders: readonly Order[],
): Promise<{ readonly counting: readonly Order[]; readonly fenced: readonly OrderNumber[] }> {
  if (orders.length === 0) return { counting: [], fenced: [] };
  const isFenced = await lockFences(client, orders);
  const late = orders.filter(isFenced);
  if (late.length === 0) return { counting: orders, fenced: [] };
  const standing = await standingAmong(client, late);
  const stands = (order: Order): boolean => standing.has(orderKey(order));
  return {
    counting: orders.filter((order) => !isFenced(order) || stands(order)),
    fenced: late.filter((order) => !stands(order)).map((order) => order.orderNumber),
  };
}

async function lockFences(client: PoolClient, orders: readonly Order[]): Promise<(order: Order) => boolean> {
  const slices = [...new Set(orders.map((order) => order.unit.sliceId))].sort((a, b) => (a < b ? -1 : 1));
  await client.query(lockSlicesSql, [LOCK_SPACE, slices]);
  const { rows } = await client.query<{ slice_id: SliceId; epoch: number }>(fencesOfSql, [slices]);
  const fences = new Map(rows.map((row) => [row.slice_id, row.epoch]));
  return ({ unit }) => unit.epoch <= (fences.get(unit.sliceId) ?? Number.NEGATIVE_INFINITY);
}
