import { isWhole } from '../sandbox/server.ts';

/**
 * How the sandbox treats a payment that it has not heard of before:
 * ok                  pays, and answers
 * time-out-then-paid  pays, and never answers
 * time-out-not-done   does nothing, and never answers
 * fail                does nothing, and answers 500
 * fail-but-paid       pays, and answers 500
 * reject              refuses for good
 * twice               pays once, and notifies twice
 * late                answers 202, pays after lateMs, and notifies
 */
export const PAYOUT_MODES = [
  'ok',
  'time-out-then-paid',
  'time-out-not-done',
  'fail',
  'fail-but-paid',
  'reject',
  'twice',
  'late',
] as const;

export type PayoutMode = (typeof PAYOUT_MODES)[number];

export interface Behaviour {
  readonly mode: PayoutMode;
  readonly lateMs: number;
}

/** What was told, for all payments or for those of one amount. */
export interface Behaviours {
  for(amountFen: number): Behaviour;
  /** Reads {mode, lateMs?, amountFen?}; without an amount for all of them, and earlier rules are forgotten. */
  tell(body: Record<string, unknown>): Behaviour | { readonly error: string };
}

const LATE_MS = 500;
const LATE_MS_MAX = 86_400_000;

export function createBehaviours(): Behaviours {
  let usual: Behaviour = { mode: 'ok', lateMs: LATE_MS };
  const ofAmount = new Map<number, Behaviour>();

  return {
    for: (amountFen) => ofAmount.get(amountFen) ?? usual,
    tell({ mode: name, lateMs = LATE_MS, amountFen }) {
      const mode = PAYOUT_MODES.find((one) => one === name);
      if (!mode) return { error: `mode is one of ${PAYOUT_MODES.join(', ')}` };
      if (!isWhole(lateMs, 0) || lateMs > LATE_MS_MAX)
        return { error: `lateMs is a whole number of milliseconds up to ${LATE_MS_MAX}` };
      if (amountFen !== undefined && !isWhole(amountFen, 1))
        return { error: 'amountFen is a whole number from 1; leave it out to mean every amount' };
      const behaviour = { mode, lateMs };
      if (amountFen !== undefined) ofAmount.set(amountFen, behaviour);
      else {
        usual = behaviour;
        ofAmount.clear();
      }
      return behaviour;
    },
  };
}
