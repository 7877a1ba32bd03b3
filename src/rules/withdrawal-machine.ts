import type { WithdrawalState } from '../engines/ports.ts';

/** A withdrawal's way: requested ▸ held ▸ paying ▸ paid / returned. "Unknown" is not a state: it stays `paying`. */
export type WithdrawalEvent = 'hold' | 'ask-for-payment' | 'payment-known' | 'rejection-known';

/** Where an event leads: a new state, `same` (a repeat, nothing moves), or `broken` (money would move twice). */
export type Step = WithdrawalState | 'same' | 'broken';

/** Every state × event; a missing cell does not compile. */
const WITHDRAWAL_MACHINE: Record<WithdrawalState, Record<WithdrawalEvent, Step>> = {
  requested: {
    hold: 'held',
    'ask-for-payment': 'broken',
    'payment-known': 'broken',
    'rejection-known': 'broken',
  },
  held: { hold: 'same', 'ask-for-payment': 'paying', 'payment-known': 'broken', 'rejection-known': 'broken' },
  paying: { hold: 'same', 'ask-for-payment': 'same', 'payment-known': 'paid', 'rejection-known': 'returned' },
  paid: { hold: 'same', 'ask-for-payment': 'same', 'payment-known': 'same', 'rejection-known': 'broken' },
  returned: { hold: 'same', 'ask-for-payment': 'same', 'payment-known': 'broken', 'rejection-known': 'same' },
};

export const nextWithdrawalState = (state: WithdrawalState, event: WithdrawalEvent): Step =>
  WITHDRAWAL_MACHINE[state][event];
