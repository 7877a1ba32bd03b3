import { isMoney } from '../vocabulary/award-type.ts';
import { type Order, sameOrder } from '../vocabulary/order.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';

export interface CreditBatch {
  /** Each order number once. */
  readonly distinct: readonly Order[];
  readonly repeats: number;
  /** Came later under a number that stands in this batch with other content. */
  readonly conflicting: readonly OrderNumber[];
}

/** Makes a batch fit for one statement: a number that stands in it twice would crash an upsert. */
export function distinctOrders(orders: readonly Order[]): CreditBatch {
  const first = new Map<OrderNumber, Order>();
  const conflicting: OrderNumber[] = [];
  for (const order of orders) {
    const earlier = first.get(order.orderNumber);
    if (!earlier) first.set(order.orderNumber, order);
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
