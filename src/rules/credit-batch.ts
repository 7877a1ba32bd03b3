import { isMoney } from '../vocabulary/award-type.ts';
import { type Order, orderKey, sameOrder } from '../vocabulary/order.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';

export interface CreditBatch {
  /** Each order number of a phase once. */
  readonly distinct: readonly Order[];
  readonly repeats: number;
  /** Came later under a number that stands in this batch with other content. */
  readonly conflicting: readonly OrderNumber[];
}

/**
 * Makes a batch fit for one statement: a number that stands in it twice would crash an upsert. The same number in
 * another phase is another order: campaigns may share the names of phases and scenes.
 */
export function distinctOrders(orders: readonly Order[]): CreditBatch {
  const first = new Map<string, Order>();
  const conflicting: OrderNumber[] = [];
  for (const order of orders) {
    const key = orderKey(order);
    const earlier = first.get(key);
    if (!earlier) first.set(key, order);
    else if (!sameOrder(earlier, order)) conflicting.push(order.orderNumber);
  }
  if (first.size === orders.length) return { distinct: orders, repeats: 0, conflicting };
  return {
    distinct: [...first.values()],
    repeats: orders.length - first.size - conflicting.length,
    conflicting,
  };
}

/** A batch by what its orders are credited as. */
export interface Kinds {
  readonly money: readonly Order[];
  readonly pieces: readonly Order[];
}

/** Money apart from pieces, each in the given order. A batch of money alone is handed on as it is. */
export function byKind(orders: readonly Order[]): Kinds {
  if (orders.every((order) => isMoney(order.awardType))) return { money: orders, pieces: [] };
  return {
    money: orders.filter((order) => isMoney(order.awardType)),
    pieces: orders.filter((order) => !isMoney(order.awardType)),
  };
}
