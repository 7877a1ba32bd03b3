import type { Fen } from '../vocabulary/fen.ts';
import type { PhaseKey, SliceId } from '../vocabulary/ids.ts';
import type { Order } from '../vocabulary/order.ts';

/** What a batch takes out of one slice. */
export interface SliceSum {
  readonly sliceId: SliceId;
  readonly phaseKey: PhaseKey;
  readonly fen: Fen;
  readonly orders: number;
  readonly lastDrawnAtMs: number;
}

const compare = <Value extends bigint | number | string>(a: Value, b: Value): number =>
  a < b ? -1 : a > b ? 1 : 0;

/**
 * The orders by (act_id, phase_key, order number), the order in which everybody locks. Order numbers are ASCII, so
 * this is also the database's order (collation C). Comparing people as floats first, which never puts two the wrong
 * way round, halves the time.
 */
export function inKeyOrder(orders: readonly Order[]): Order[] {
  const people = Float64Array.from(orders, (order) => Number(order.actId));
  const places = Array.from(orders, (_, place) => place);
  places.sort((a, b) => people[a]! - people[b]! || compareKeys(orders[a]!, orders[b]!));
  return places.map((place) => orders[place]!);
}

const compareKeys = (a: Order, b: Order): number =>
  compare(a.actId, b.actId) || compare(a.phaseKey, b.phaseKey) || compare(a.orderNumber, b.orderNumber);

/**
 * Whether orders in key order are certainly distinct; false also where it takes a closer look (`distinctOrders`). An
 * order number begins with its person, so the same number twice is the same person in a row.
 */
export function certainlyDistinct(inOrder: readonly Order[]): boolean {
  for (let at = 1; at < inOrder.length; at += 1) {
    const before = inOrder[at - 1]!;
    const order = inOrder[at]!;
    if (order.actId !== before.actId) continue;
    if (order.phaseKey !== before.phaseKey || order.orderNumber === before.orderNumber) return false;
  }
  return true;
}

/** Per slice and phase, in no particular order; each order counts. */
export function sliceSums(orders: readonly Order[]): SliceSum[] {
  type Sum = { sliceId: SliceId; phaseKey: PhaseKey; fen: bigint; orders: number; lastDrawnAtMs: number };
  const phases = new Map<PhaseKey, Map<SliceId, Sum>>();
  for (const { unit, phaseKey, amountFen, drawnAtMs } of orders) {
    let slices = phases.get(phaseKey);
    if (!slices) {
      slices = new Map();
      phases.set(phaseKey, slices);
    }
    const sum = slices.get(unit.sliceId);
    if (!sum) {
      slices.set(unit.sliceId, {
        sliceId: unit.sliceId,
        phaseKey,
        fen: amountFen,
        orders: 1,
        lastDrawnAtMs: drawnAtMs,
      });
    } else {
      sum.fen += amountFen;
      sum.orders += 1;
      sum.lastDrawnAtMs = Math.max(sum.lastDrawnAtMs, drawnAtMs);
    }
  }
  return [...phases.values()].flatMap((slices) => [...slices.values()]) as SliceSum[];
}
