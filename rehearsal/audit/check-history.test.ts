import { expect, it } from 'vitest';
import { checkHistory, type Seen } from './check-history.ts';
import type { JournalEntry } from './journal.ts';
import type { Books } from './ledger.ts';
import { Findings } from './report.ts';

const orderNumber = '1_tea_7_cash_live';
const orders = new Map([
  [orderNumber, { order: { orderNumber, fen: 88n }, sequence: 1, isVoid: false } as unknown as JournalEntry],
]);
const books = { withdrawals: [] } as unknown as Books;
const told = (tokenHash: string, amountFen = 88): Seen => ({ t: 'won', orderNumber, amountFen, tokenHash });

function found(history: readonly Seen[], resealed: boolean): string[] {
  const findings = new Findings();
  checkHistory(history, orders, books, resealed, findings);
  return findings.list.map(({ what }) => what);
}

it('an order that was answered with other bytes is found, unless the book was away meanwhile', () => {
  const history = [told('a'), told('a'), told('b')];
  expect(found(history.slice(0, 2), false)).toEqual([]);
  expect(found(history, false)).toEqual(['the same order was answered with other bytes']);
  expect(found(history, true)).toEqual([]);
});

it('another amount is found, book or no book', () => {
  for (const resealed of [false, true])
    expect(found([told('a'), told('a', 99)], resealed)).toEqual(['somebody was told another amount']);
});
