import type { HotTotal } from '../engines/ports.ts';
import { isMoney } from '../vocabulary/award-type.ts';
import { type Fen, fen, ZERO_FEN } from '../vocabulary/fen.ts';
import type { Order } from '../vocabulary/order.ts';

/*
 * The total on everybody's screen is a G-counter: each instance has a sum of its own that only grows, and the total is
 * the sum of those. Whoever merges takes the larger one, so that saying a thing twice, or late, changes nothing.
 */

export const NOTHING_GIVEN: HotTotal = { fen: ZERO_FEN, packets: 0 };

/** What an order adds: a piece is a packet too, but no money. */
export const givenBy = (order: Pick<Order, 'awardType' | 'amountFen'>): HotTotal => ({
  fen: isMoney(order.awardType) ? order.amountFen : ZERO_FEN,
  packets: 1,
});

export const plus = (a: HotTotal, b: HotTotal): HotTotal => ({
  fen: fen(a.fen + b.fen),
  packets: a.packets + b.packets,
});

const larger = (a: Fen, b: Fen): Fen => (a > b ? a : b);

/** The larger of each part: what was known once is never taken back. */
export const atLeast = (a: HotTotal, b: HotTotal): HotTotal => ({
  fen: larger(a.fen, b.fen),
  packets: Math.max(a.packets, b.packets),
});

/** Whether any part of `a` is behind `b`. */
export const isBehind = (a: HotTotal, b: HotTotal): boolean => a.fen < b.fen || a.packets < b.packets;
