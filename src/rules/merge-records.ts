import type { WithdrawalState } from '../engines/ports.ts';
import { isMoney } from '../vocabulary/award-type.ts';
import { type Fen, fen } from '../vocabulary/fen.ts';
import { type InstantMs, instantMs } from '../vocabulary/instant.ts';
import type { Order } from '../vocabulary/order.ts';

/** A line of the wallet page. Amounts are signed: money that leaves is negative. Room for transfers between people. */
export interface WalletRecord {
  readonly kind: 'credit' | 'withdrawal' | 'transfer';
  /** The order number of a credit, the id of a withdrawal. */
  readonly ref: string;
  readonly atMs: InstantMs;
  readonly amountFen: Fen;
  readonly status: 'outstanding' | 'credited' | WithdrawalState;
}

/** A line as the ledger has it; amounts without sign. */
export type LedgerLine = Place & { readonly amountFen: Fen } & (
    | { readonly kind: 'credit' }
    | { readonly kind: 'withdrawal'; readonly state: WithdrawalState }
  );

/** Where a line stands: newest first, by time and then by reference, both falling. */
export interface Place {
  readonly atMs: InstantMs;
  readonly ref: string;
}

/** References are ASCII, so this order is the ledger's (COLLATE "C"). */
const byNewest = (a: Place, b: Place): number =>
  b.atMs - a.atMs || (a.ref < b.ref ? 1 : a.ref > b.ref ? -1 : 0);

/**
 * The first `limit` lines behind `after` of ledger and tokens together. A token and the credit that it becomes share
 * time and reference, so a page ends at the same place before and after, and nothing repeats or is skipped. Records
 * tell of money; pieces have a list of their own, and so neither their credits nor their tokens stand here.
 *
 * `lines` are the ledger's first `limit` behind `after`, of each account of the person. A token that is credited too
 * may lack its line in there, but only when `limit` newer lines stand before it; then it is not on this page either.
 */
export function mergeRecords(
  lines: readonly LedgerLine[],
  tokens: readonly Order[],
  after: Place | undefined,
  limit: number,
): WalletRecord[] {
  const inLedger = new Set(lines.map((line) => line.ref));
  const waiting = tokens.filter((order) => isMoney(order.awardType) && !inLedger.has(order.orderNumber));
  return [...lines.map(recordOfLine), ...waiting.map(recordOfToken)]
    .filter((record) => after === undefined || byNewest(after, record) < 0)
    .sort(byNewest)
    .slice(0, limit);
}

const recordOfLine = (line: LedgerLine): WalletRecord =>
  line.kind === 'credit'
    ? { kind: 'credit', ref: line.ref, atMs: line.atMs, amountFen: line.amountFen, status: 'credited' }
    : {
        kind: 'withdrawal',
        ref: line.ref,
        atMs: line.atMs,
        amountFen: fen(-line.amountFen),
        status: line.state,
      };

const recordOfToken = (order: Order): WalletRecord => ({
  kind: 'credit',
  ref: order.orderNumber,
  atMs: order.drawnAtMs,
  amountFen: order.amountFen,
  status: 'outstanding',
});

const CURSOR_LENGTH_MAX = 300;
const CURSOR = /^([1-9][0-9]{0,15})\|([A-Za-z0-9_-]{1,160})$/;

/** A place as text for the phone: it is given back as it is, and means nothing to it. */
export const encodeCursor = (place: Place): string =>
  Buffer.from(`${place.atMs}|${place.ref}`, 'latin1').toString('base64url');

/** Undefined for whatever `encodeCursor` would not write. */
export function decodeCursor(text: string): Place | undefined {
  if (text.length > CURSOR_LENGTH_MAX) return undefined;
  const match = CURSOR.exec(Buffer.from(text, 'base64url').toString('latin1'));
  const place = match ? { atMs: instantMs(Number(match[1])), ref: match[2]! } : undefined;
  return place && encodeCursor(place) === text ? place : undefined;
}
