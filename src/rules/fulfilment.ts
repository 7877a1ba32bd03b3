import type { AwardState, FulfilAnswer } from '../engines/ports.ts';

/** The first question of a turn: what somebody may have been asked for already is asked about, never granted anew. */
export const firstQuestion = (state: AwardState): 'give' | 'query' =>
  state === 'granted' ? 'give' : 'query';

/** What an answer makes us do. `give` asks for it in the same turn, under the same order number. */
export type AfterAnswer =
  | { readonly act: 'settle'; readonly end: { readonly state: 'fulfilled'; readonly voucher?: string } }
  | { readonly act: 'settle'; readonly end: { readonly state: 'dead'; readonly reason: string } }
  | { readonly act: 'put-off' | 'give-again'; readonly reason: string }
  | { readonly act: 'give' };

/**
 * Settles only what is known. A definite failure may be tried again where the scene compensates; "unheard-of" says that
 * a question can be put anew, but not when it is the answer to asking for it: that makes no sense, and is put off.
 */
export function afterAnswer(
  answer: FulfilAnswer,
  { asked, compensate }: { readonly asked: 'give' | 'query'; readonly compensate: boolean },
): AfterAnswer {
  switch (answer.answer) {
    case 'fulfilled':
      return {
        act: 'settle',
        end: {
          state: 'fulfilled',
          ...(answer.voucher === undefined ? {} : { voucher: answer.voucher }),
        },
      };
    case 'rejected':
      return { act: 'settle', end: { state: 'dead', reason: answer.reason } };
    case 'failed':
      return compensate
        ? { act: 'give-again', reason: answer.reason }
        : { act: 'settle', end: { state: 'dead', reason: answer.reason } };
    case 'processing':
      return { act: 'put-off', reason: 'it is being worked on' };
    case 'unheard-of':
      return asked === 'query'
        ? { act: 'give' }
        : { act: 'put-off', reason: 'asked for it, and was told that no such order exists' };
    case 'unknown':
      return { act: 'put-off', reason: answer.reason };
  }
}
