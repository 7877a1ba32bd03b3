import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import type { CreditReceipt } from '../engines/ports.ts';
import { asciiArray, int4Array, int8Array } from '../engines/postgres/binary-arrays.ts';
import { byKind, distinctOrders } from '../rules/credit-batch.ts';
import { certainlyDistinct, inKeyOrder, sliceSums } from '../rules/credit-sums.ts';
import { isMoney } from '../vocabulary/award-type.ts';
import type { PhaseKey } from '../vocabulary/ids.ts';
import { type Order, orderKey } from '../vocabulary/order.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import type { CreditedRow } from './credited.ts';
import { type Base, writes } from './partition.ts';
import creditSql from './sql/credit.sql';
import creditFreshSql from './sql/credit-fresh.sql';
import creditedSql from './sql/credited.sql';

const columns = (orders: readonly Order[]): Buffer[] => [
  int8Array(orders, (order) => order.actId),
  int4Array(orders, (order) => order.phaseKey),
  asciiArray(orders, (order) => order.orderNumber),
  int8Array(orders, (order) => order.amountFen),
  int8Array(orders, (order) => BigInt(order.drawnAtMs)),
  int8Array(orders, (order) => order.unit.sliceId),
  int4Array(orders, (order) => order.unit.epoch),
  int4Array(orders, (order) => order.unit.index),
];

const actIdsOf = (orders: readonly Order[]) => orders.map((order) => order.actId);

/** What the orders come to per slice, for a batch of which all will count. */
function sums(inOrder: readonly Order[]): Buffer[] {
  const slices = sliceSums(inOrder);
  return [
    int8Array(slices, (sum) => sum.sliceId),
    int4Array(slices, (sum) => sum.phaseKey),
    int8Array(slices, (sum) => sum.fen),
    int8Array(slices, (sum) => BigInt(sum.lastDrawnAtMs)),
    int4Array(slices, (sum) => sum.orders),
  ];
}

const UNIQUE_VIOLATION = '23505';

/** Where a person has what an order gives (0004-awards.sql). */
const PURSE = { money: 1, pieces: 6 } as const;
type Kind = keyof typeof PURSE;

/** The ref of a batch's legs in the slices' accounts: a batch is of one kind, and says of which (credited-sums.sql). */
const batchRef = (kind: Kind): string => `${randomUUID()}:${kind}`;

const NOTHING: CreditReceipt = { credited: 0, alreadyCredited: 0, conflicting: [] };

/**
 * Credits orders as if none were there yet; when one is, the whole statement is undone by its own key, and the batch
 * goes the way that passes over what is there. Not for use inside a transaction: the first try may break it. Money and
 * pieces go in a statement each: all or nothing holds for each kind by itself.
 */
export async function creditFreshOrders(base: Base, orders: readonly Order[]): Promise<CreditReceipt> {
  const { money, pieces } = byKind(orders);
  if (pieces.length === 0) return creditFreshMoney(base, money);
  const ofPieces = await creditKind(base.pool, base.buckets, 'pieces', pieces);
  return money.length === 0 ? ofPieces : both(ofPieces, await creditFreshMoney(base, money));
}

async function creditFreshMoney(base: Base, orders: readonly Order[]): Promise<CreditReceipt> {
  const inOrder = inKeyOrder(orders);
  const passingOver = () => creditKind(base.pool, base.buckets, 'money', orders);
  if (inOrder.length === 0 || !certainlyDistinct(inOrder)) return passingOver();
  try {
    await base.pool.query({
      name: 'ledger-credit-fresh',
      text: creditFreshSql,
      values: [
        ...columns(inOrder),
        ...sums(inOrder),
        batchRef('money'),
        ...writes(base.buckets, actIdsOf(inOrder)),
      ],
    });
    return { credited: orders.length, alreadyCredited: 0, conflicting: [] };
  } catch (error) {
    if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
    return passingOver();
  }
}

/**
 * Credits orders inside a transaction, which makes both kinds all or nothing. Pieces first, as everybody who takes
 * both: a withdrawal goes on to lock the person's money.
 */
export async function creditOrders(
  db: PoolClient,
  buckets: number | undefined,
  orders: readonly Order[],
): Promise<CreditReceipt> {
  const { money, pieces } = byKind(orders);
  const ofPieces = await creditKind(db, buckets, 'pieces', pieces);
  return both(ofPieces, await creditKind(db, buckets, 'money', money));
}

const both = (one: CreditReceipt, other: CreditReceipt): CreditReceipt => ({
  credited: one.credited + other.credited,
  alreadyCredited: one.alreadyCredited + other.alreadyCredited,
  conflicting: [...one.conflicting, ...other.conflicting],
});

/** The statement is all or nothing. */
async function creditKind(
  db: Pool | PoolClient,
  buckets: number | undefined,
  kind: Kind,
  orders: readonly Order[],
): Promise<CreditReceipt> {
  const batch = distinctOrders(orders);
  if (batch.distinct.length === 0) return NOTHING;
  const { rows } = await db.query<{ fresh: number }>({
    name: 'ledger-credit',
    text: creditSql,
    values: [
      ...columns(batch.distinct),
      batchRef(kind),
      ...writes(buckets, actIdsOf(batch.distinct)),
      PURSE[kind],
    ],
  });
  const fresh = rows[0]!.fresh;
  if (fresh === batch.distinct.length) {
    return { credited: fresh, alreadyCredited: batch.repeats, conflicting: batch.conflicting };
  }
  const conflicting = [...batch.conflicting, ...(await differing(db, batch.distinct))];
  return { credited: fresh, alreadyCredited: orders.length - fresh - conflicting.length, conflicting };
}

/** Those of the orders that are credited already, with whatever content, by `orderKey`. */
export async function standingAmong(
  db: Pool | PoolClient,
  orders: readonly Order[],
): Promise<ReadonlyMap<string, CreditedRow>> {
  if (orders.length === 0) return new Map();
  const values = [
    ...columns(orders).slice(0, 3),
    int4Array(orders, (order) => (isMoney(order.awardType) ? PURSE.money : PURSE.pieces)),
  ];
  const { rows } = await db.query<CreditedRow & { phase_key: PhaseKey }>({
    name: 'ledger-credited',
    text: creditedSql,
    values,
  });
  return new Map(rows.map((row) => [orderKey({ phaseKey: row.phase_key, orderNumber: row.ref }), row]));
}

async function differing(db: Pool | PoolClient, orders: readonly Order[]): Promise<OrderNumber[]> {
  const standing = await standingAmong(db, orders);
  return orders
    .filter((order) => !sameContent(order, standing.get(orderKey(order))))
    .map((order) => order.orderNumber);
}

const sameContent = (order: Order, row: CreditedRow | undefined): boolean =>
  row !== undefined &&
  row.amount_fen === order.amountFen &&
  row.at_ms === BigInt(order.drawnAtMs) &&
  row.slice_id === order.unit.sliceId &&
  row.slice_epoch === order.unit.epoch &&
  row.slice_index === order.unit.index;
