import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Payment {
  readonly amountFen: bigint;
  readonly state: string;
  /** How often money moved for it. */
  readonly paidTimes: number;
}

/**
 * The payout sandbox's own record, `payments.jsonl`: the last line of an id is its state, money moved once for each
 * line that says "paid". A last line without an end was never answered.
 */
export function readPayments(folder: string): Map<string, Payment> {
  const file = path.join(folder, 'payments.jsonl');
  const payments = new Map<string, Payment>();
  if (!existsSync(file)) return payments;
  for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
    if (line === '') continue;
    const { payoutId, amountFen, state } = JSON.parse(line) as {
      payoutId: string;
      amountFen: number;
      state: string;
    };
    const paidTimes = (payments.get(payoutId)?.paidTimes ?? 0) + (state === 'paid' ? 1 : 0);
    payments.set(payoutId, { amountFen: BigInt(amountFen), state, paidTimes });
  }
  return payments;
}
