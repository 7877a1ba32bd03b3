import type { LedgerRecord, RecordCursor, WithdrawalState } from '../engines/ports.ts';
import { type Fen, fen, sumFen, ZERO_FEN } from '../vocabulary/fen.ts';
import { type InstantMs, instantMs } from '../vocabulary/instant.ts';
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

/** Seed 2022, 4.2.1: credited + tokens − tokens that are credited or being credited. */
export function overlayBalances(
  ledger: {
    readonly balanceFen: Fen;
    readonly heldFen: Fen;
    readonly incomeFen: Fen;
    readonly credited: ReadonlySet<OrderNumber>;
  },
  tokens: readonly Order[],
): Balances {
  const outstandingFen = sumFen(notCredited(tokens, ledger.credited).map((order) => order.amountFen));
  return {
    balanceFen: fen(ledger.balanceFen + outstandingFen),
    creditedFen: ledger.balanceFen,
    outstandingFen,
    heldFen: ledger.heldFen,
    totalIncomeFen: fen(ledger.incomeFen + outstandingFen),
  };
}

export const notCredited = (tokens: readonly Order[], credited: ReadonlySet<OrderNumber>): Order[] =>
  tokens.filter((order) => !credited.has(order.orderNumber));

/** A line of the wallet page. Amounts are signed: money that leaves is negative. Room for transfers between people. */
export interface WalletRecord {
  readonly kind: 'credit' | 'withdrawal' | 'transfer';
  readonly ref: string;
  readonly atMs: InstantMs;
  readonly amountFen: Fen;
  readonly status: 'outstanding' | 'credited' | WithdrawalState;
}

const compare = (a: { atMs: number; ref: string }, b: { atMs: number; ref: string }): number =>
  b.atMs - a.atMs || (a.ref < b.ref ? 1 : a.ref > b.ref ? -1 : 0);

/**
 * Ledger lines and outstanding tokens as one list, newest first. A token and the credit that it becomes share time and
 * reference, so a page break falls at the same place before and after, and nothing repeats or is skipped.
 */
export function mergeRecords(
  lines: readonly LedgerRecord[],
  outstanding: readonly Order[],
  after: RecordCursor | undefined,
  limit: number,
): WalletRecord[] {
  const credited = new Set(lines.map((line): string => line.ref));
  const merged: WalletRecord[] = lines.map((line) =>
    line.kind === 'credit'
      ? { kind: 'credit', ref: line.ref, atMs: line.atMs, amountFen: line.amountFen, status: 'credited' }
      : {
          kind: 'withdrawal',
          ref: line.ref,
          atMs: line.atMs,
          amountFen: fen(ZERO_FEN - line.amountFen),
          status: line.state,
        },
  );
  for (const order of outstanding) {
    if (credited.has(order.orderNumber)) continue;
    merged.push({
      kind: 'credit',
      ref: order.orderNumber,
      atMs: order.drawnAtMs,
      amountFen: order.amountFen,
      status: 'outstanding',
    });
  }
  return merged
    .filter((line) => after === undefined || compare(after, line) < 0)
    .sort(compare)
    .slice(0, limit);
}

export const encodeCursor = (line: { readonly atMs: InstantMs; readonly ref: string }): string =>
  Buffer.from(`${line.atMs}|${line.ref}`, 'latin1').toString('base64url');

/** Undefined for what `encodeCursor` did not write. */
export function decodeCursor(text: string): RecordCursor | undefined {
  if (text.length > 300 || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const match = /^([1-9][0-9]{0,15})\|([A-Za-z0-9_-]{1,160})$/.exec(
    Buffer.from(text, 'base64url').toString('latin1'),
  );
  return match ? { atMs: instantMs(Number(match[1])), ref: match[2]! } : undefined;
}
