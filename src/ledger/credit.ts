import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import type { CreditReceipt } from '../engines/ports.ts';
import { distinctOrders } from '../rules/credit-batch.ts';
import type { Order } from '../vocabulary/order.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import { type Base, writes } from './partition.ts';
import creditSql from './sql/credit.sql';
import creditedSql from './sql/credited.sql';

/** Array literals built here: the driver would quote and escape each element, at twice the cost of the insert. */
const literal = (orders: readonly Order[], field: (order: Order) => bigint | number | string): string =>
  `{${orders.map(field).join(',')}}`;

/** Order numbers hold no quote, comma, brace or space (vocabulary/ids.ts), so they need no quoting either. */
const columns = (orders: readonly Order[]): string[] => [
  literal(orders, (order) => order.actId),
  literal(orders, (order) => order.phaseKey),
  literal(orders, (order) => order.orderNumber),
  literal(orders, (order) => order.amountFen),
  literal(orders, (order) => order.drawnAtMs),
  literal(orders, (order) => order.unit.sliceId),
  literal(orders, (order) => order.unit.epoch),
  literal(orders, (order) => order.unit.index),
];

const actIdsOf = (orders: readonly Order[]) => orders.map((order) => order.actId);

const UNIQUE_VIOLATION = '23505';
/** Looking for a duplicate before each insert costs a third of the batch, and in the normal case there is none. */
const creditFreshSql = creditSql.replace('ON CONFLICT (act_id, phase_key, purse, ref) DO NOTHING', '');

/**
 * Credits orders as if none were there yet; when one is, the whole statement is undone by its own key, and the batch
 * goes the way that passes over what is there. Not for use inside a transaction: the first try may break it.
 */
export async function creditFreshOrders(base: Base, orders: readonly Order[]): Promise<CreditReceipt> {
  const { distinct, repeats, conflicting } = distinctOrders(orders);
  if (distinct.length === 0) return { credited: 0, alreadyCredited: 0, conflicting: [] };
  try {
    await base.pool.query({
      name: 'ledger-credit-fresh',
      text: creditFreshSql,
      values: [...columns(distinct), randomUUID(), ...writes(base.buckets, actIdsOf(distinct))],
    });
    return { credited: distinct.length, alreadyCredited: repeats, conflicting };
  } catch (error) {
    if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
    return creditOrders(base.pool, base.buckets, orders);
  }
}

/** Credits orders on a connection or inside its transaction; the statement is all or nothing. */
export async function creditOrders(
  db: Pool | PoolClient,
  buckets: number | undefined,
  orders: readonly Order[],
): Promise<CreditReceipt> {
  const batch = distinctOrders(orders);
  if (batch.distinct.length === 0) return { credited: 0, alreadyCredited: 0, conflicting: [] };
  const { rows } = await db.query<{ fresh: number }>({
    name: 'ledger-credit',
    text: creditSql,
    values: [...columns(batch.distinct), randomUUID(), ...writes(buckets, actIdsOf(batch.distinct))],
  });
  const fresh = rows[0]!.fresh;
  if (fresh === batch.distinct.length) {
    return { credited: fresh, alreadyCredited: batch.repeats, conflicting: batch.conflicting };
  }
  const conflicting = [...batch.conflicting, ...(await differing(db, batch.distinct))];
  return { credited: fresh, alreadyCredited: orders.length - fresh - conflicting.length, conflicting };
}

interface CreditedRow {
  readonly ref: OrderNumber;
  readonly amount_fen: bigint;
  readonly at_ms: bigint;
  readonly slice_id: bigint;
  readonly slice_epoch: number;
  readonly slice_index: number;
}

/** Those of the orders that are credited already, with whatever content. */
export async function standingAmong(
  db: Pool | PoolClient,
  orders: readonly Order[],
): Promise<ReadonlyMap<OrderNumber, CreditedRow>> {
  if (orders.length === 0) return new Map();
  const values = columns(orders).slice(0, 3);
  const { rows } = await db.query<CreditedRow>({ name: 'ledger-credited', text: creditedSql, values });
  return new Map(rows.map((row) => [row.ref, row]));
}

async function differing(db: Pool | PoolClient, orders: readonly Order[]): Promise<OrderNumber[]> {
  const standing = await standingAmong(db, orders);
  return orders
    .filter((order) => !sameContent(order, standing.get(order.orderNumber)))
    .map((order) => order.orderNumber);
}

const sameContent = (order: Order, row: CreditedRow | undefined): boolean =>
  row !== undefined &&
  row.amount_fen === order.amountFen &&
  row.at_ms === BigInt(order.drawnAtMs) &&
  row.slice_id === order.unit.sliceId &&
  row.slice_epoch === order.unit.epoch &&
  row.slice_index === order.unit.index;
