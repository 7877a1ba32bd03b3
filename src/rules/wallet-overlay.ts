import { isMoney } from '../vocabulary/award-type.ts';
import { type Fen, fen, sumFen, ZERO_FEN } from '../vocabulary/fen.ts';
import type { Order } from '../vocabulary/order.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';

export interface Balances {
  /** What can be taken right now: credited and outstanding alike (I3). */
  readonly balanceFen: Fen;
  readonly creditedFen: Fen;
  readonly outstandingFen: Fen;
  readonly heldFen: Fen;
  readonly totalIncomeFen: Fen;
}

/** What the ledger says of one account, of one moment. */
export interface LedgerView {
  readonly balanceFen: Fen;
  readonly heldFen: Fen;
  readonly incomeFen: Fen;
  /** What transfers between the person's ids brought, less what they took. */
  readonly movedFen: Fen;
  readonly credited: ReadonlySet<OrderNumber>;
}

/**
 * The accounts of all ids of a person as one. A transfer changes a balance and what was moved by the same amount, so
 * their difference doesn't change by it, and the sum is right though each account was read at a moment of its own: what
 * is between two of them counts once. An id that is looked at alone, because nobody here knows of its join yet, is worth
 * what it was worth before; at least nothing, when its person has taken more than that.
 */
export function viewOfAll(views: readonly LedgerView[]): LedgerView {
  const unmoved = sumFen(views.map((view) => (view.balanceFen - view.movedFen) as Fen));
  return {
    balanceFen: unmoved < 0n ? ZERO_FEN : unmoved,
    heldFen: sumFen(views.map((view) => view.heldFen)),
    incomeFen: sumFen(views.map((view) => view.incomeFen)),
    movedFen: ZERO_FEN,
    credited: new Set(views.flatMap((view) => [...view.credited])),
  };
}

/**
 * Seed 2022, 4.2.1: credited + tokens − tokens that are credited. `tokens` holds each order number once; those of pieces
 * are no money and count for nothing here.
 */
export function overlayBalances(ledger: LedgerView, tokens: readonly Order[]): Balances {
  const waiting = tokens.filter(
    (order) => isMoney(order.awardType) && !ledger.credited.has(order.orderNumber),
  );
  const outstandingFen = sumFen(waiting.map((order) => order.amountFen));
  return {
    balanceFen: fen(ledger.balanceFen + outstandingFen),
    creditedFen: ledger.balanceFen,
    outstandingFen,
    heldFen: ledger.heldFen,
    totalIncomeFen: fen(ledger.incomeFen + outstandingFen),
  };
}
