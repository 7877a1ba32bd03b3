import { isMoney } from '../vocabulary/award-type.ts';
import { type Fen, fen, sumFen } from '../vocabulary/fen.ts';
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
  readonly credited: ReadonlySet<OrderNumber>;
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
