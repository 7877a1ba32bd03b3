import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

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
 * line that says "paid". A last line that was cut off was never answered, and is cut away.
 */
export function openPayments(folder: string): Payments {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, 'payments.jsonl');
  const payments = new Map<string, CountedPayment>();
  const note = (payment: Payment): void => {
    const paidTimes = (payments.get(payment.payoutId)?.paidTimes ?? 0) + (payment.state === 'paid' ? 1 : 0);
    payments.set(payment.payoutId, { ...payment, paidTimes });
  };
  if (existsSync(file)) for (const payment of readWhole(file)) note(payment);
  const fd = openSync(file, 'a', 0o600);
  syncFolder(folder);

  return {
    get: (payoutId) => payments.get(payoutId),
    all: () => [...payments.values()],
    write(payment) {
      writeSync(fd, `${JSON.stringify(payment)}\n`);
      fdatasyncSync(fd);
      note(payment);
    },
    close: () => closeSync(fd),
  };
}

function readWhole(file: string): Payment[] {
  const text = readFileSync(file, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole.length < text.length) {
    const fd = openSync(file, 'r+');
    ftruncateSync(fd, Buffer.byteLength(whole));
    fdatasyncSync(fd);
    closeSync(fd);
  }
  const lines = whole.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Payment);
}

/** So that a file that was just made is found again after a power cut. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  fsyncSync(fd);
  closeSync(fd);
}
