import type { Withdrawal } from './ledger.ts';

export type PayoutAnswer =
  | { readonly answer: 'paid' }
  /** Final: it was not paid and never will be. */
  | { readonly answer: 'rejected'; readonly reason: string }
  /** Being worked on. Ask again. */
  | { readonly answer: 'processing' }
  /** No such payout was ever received. */
  | { readonly answer: 'unheard-of' }
  /** A time-out, a cut connection, a 5xx: nothing is known. Never treated as failed. */
  | { readonly answer: 'unknown'; readonly reason: string };

export interface Payout {
  /** Asks for a payment under the withdrawal's id; the same id again is the same payment. Never throws. */
  pay(withdrawal: Withdrawal): Promise<PayoutAnswer>;
  /** What became of it. Never throws. */
  query(withdrawal: Withdrawal): Promise<PayoutAnswer>;
}
