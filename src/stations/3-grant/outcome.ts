import { ERROR_KINDS, type ErrorKind } from '../../protocol/error-kinds.ts';
import { isRefusal, type Refusal, RetryableFault } from '../../protocol/failures.ts';
import { type AwardType, isMoney } from '../../vocabulary/award-type.ts';
import { type Fen, ZERO_FEN } from '../../vocabulary/fen.ts';
import type { SceneId } from '../../vocabulary/ids.ts';
import type { InstantMs } from '../../vocabulary/instant.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { Granted } from './grant.ts';

/** What a caller is told of one ask, the same whatever was given and whoever hands it out. */
export type GrantOutcome =
  | {
      /** `replayed`: it was granted before, and this is the first answer again. */
      readonly outcome: 'granted' | 'replayed';
      readonly orderNumber: OrderNumber;
      /** Another than the asked one when it is the consolation. */
      readonly sceneId: SceneId;
      readonly awardType: AwardType;
      /** Money in the wallet; 0 for a piece. */
      readonly amountFen: Fen;
      /** The amount, or what the piece is worth. */
      readonly worthFen: Fen;
      readonly drawnAtMs: InstantMs;
      readonly consolation: boolean;
      /** Little is left of what was asked for. */
      readonly low: boolean;
    }
  /** A "no" that moved nothing. */
  | {
      readonly outcome: 'refused';
      readonly code: ErrorKind;
      readonly detail: string;
      readonly retryable: boolean;
    }
  /** It may or may not have been granted: never to be taken for "no". The same ask again settles it. */
  | {
      readonly outcome: 'unknown';
      readonly code: ErrorKind;
      readonly detail: string;
      readonly retryAfterMs: number;
    };

const UNFORESEEN_AGAIN_MS = 1_000;

/** `asked` is the scene that the caller named, `low` whether little is left of it. */
export function outcomeOf(answer: Granted | Refusal, asked: SceneId | undefined, low: boolean): GrantOutcome {
  if (isRefusal(answer)) {
    const { retryable } = ERROR_KINDS[answer.refused];
    return { outcome: 'refused', code: answer.refused, detail: answer.detail, retryable };
  }
  const { order, replayed } = answer;
  return {
    outcome: replayed ? 'replayed' : 'granted',
    orderNumber: order.orderNumber,
    sceneId: order.sceneId,
    awardType: order.awardType,
    amountFen: isMoney(order.awardType) ? order.amountFen : ZERO_FEN,
    worthFen: order.amountFen,
    drawnAtMs: order.drawnAtMs,
    consolation: order.sceneId !== asked,
    low,
  };
}

/** What was thrown is no "no", whatever it was. */
export function unknownOf(error: unknown): GrantOutcome {
  if (error instanceof RetryableFault)
    return { outcome: 'unknown', code: error.kind, detail: error.message, retryAfterMs: error.delayMs };
  return {
    outcome: 'unknown',
    code: 'internal',
    detail: 'something broke on our side',
    retryAfterMs: UNFORESEEN_AGAIN_MS,
  };
}
