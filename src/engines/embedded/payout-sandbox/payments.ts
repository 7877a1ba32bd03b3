import { openRecordFile } from '../sandbox/record-file.ts';

export interface Payment {
  readonly payoutId: string;
  readonly amountFen: number;
  readonly payeeRef: string;
  readonly state: 'paid' | 'processing' | 'rejected';
  readonly atMs: number;
}

/** A payment, and how often money moved for it: the auditor wants to see 1 or 0. */
export interface CountedPayment extends Payment {
  readonly paidTimes: number;
}

export interface Payments {
  get(payoutId: string): CountedPayment | undefined;
  all(): CountedPayment[];
  /** Durable when it returns. */
  write(payment: Payment): void;
  close(): void;
}

/**
 * `payments.jsonl` in `folder`: one line per change of a payment, fsynced before it is answered:
 * {"payoutId","amountFen","payeeRef","state","atMs"}. The last line of an id is its state; money moved once for each
 * line that says "paid".
 */
export function openPayments(folder: string): Payments {
  const file = openRecordFile<Payment>(folder, 'payments.jsonl');
  const payments = new Map<string, CountedPayment>();
  const note = (payment: Payment): void => {
    const paidTimes = (payments.get(payment.payoutId)?.paidTimes ?? 0) + (payment.state === 'paid' ? 1 : 0);
    payments.set(payment.payoutId, { ...payment, paidTimes });
  };
  for (const payment of file.found) note(payment);

  return {
    get: (payoutId) => payments.get(payoutId),
    all: () => [...payments.values()],
    write(payment) {
      file.append(payment);
      note(payment);
    },
    close: file.close,
  };
}
