import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, PhaseKey } from '../../vocabulary/ids.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';

/** What a downstream's answer means, whatever it looks like there. */
export type FulfilAnswer =
  | { readonly answer: 'fulfilled'; readonly voucher?: string }
  /** Final: it was not handed out and never will be. */
  | { readonly answer: 'rejected'; readonly reason: string }
  /** It was certainly not handed out; asking for it again may help. */
  | { readonly answer: 'failed'; readonly reason: string }
  /** Being worked on. Ask about it again. */
  | { readonly answer: 'processing' }
  /** No such order was ever received. */
  | { readonly answer: 'unheard-of' }
  /**
   * A time-out, a cut connection, an answer that can't be read: nothing is known. Never treated as failed.
   * `isThere`: somebody did answer, so what is not understood is no sign of the downstream being away.
   */
  | { readonly answer: 'unknown'; readonly reason: string; readonly isThere?: boolean };

/** A piece as a downstream is asked for it. */
export interface FulfilAsk {
  /** The downstream's idempotency key, whoever asks and however often. */
  readonly orderNumber: OrderNumber;
  /** An order number is unique in its phase: a downstream of several campaigns needs both to tell pieces apart. */
  readonly phaseKey: PhaseKey;
  /** The downstream's own name of the piece. */
  readonly item: string;
  readonly actId: ActId;
  readonly worthFen: Fen;
}

export interface Connector {
  readonly name: string;
  /** Asks for the piece; the same order number again is the same piece. Never throws. */
  give(ask: FulfilAsk): Promise<FulfilAnswer>;
  /** What became of it. Never throws. */
  query(ask: FulfilAsk): Promise<FulfilAnswer>;
}
