import { expect, it } from 'vitest';
import { checkHistory, type Seen } from './check-history.ts';
import { checkCredits } from './check-money.ts';
import { distinctOrders } from './check-orders.ts';
import type { AuditedJournal, JournalEntry } from './journal.ts';
import type { Books, Posting } from './ledger.ts';
import { Findings } from './report.ts';

/** Two campaigns have a phase and a scene of one name, so one number names an order in each. */
const orderNumber = '7_tea_1_cash_live';
const entryOf = (phaseKey: number, fen: bigint): JournalEntry =>
  ({
    order: {
      ...{ orderNumber, actId: 7n, scene: 'tea', rain: 1, award: 'cash', stage: 'live', phaseKey, fen },
      ...{ drawnAtMs: 5, sliceId: BigInt(phaseKey), epoch: 1, index: 0 },
    },
    sequence: 1,
    isVoid: false,
  }) as JournalEntry;
const creditOf = (phase_key: number, amount_fen: bigint): Posting => ({
  ...{ act_id: 7n, phase_key, purse: 1, ref: orderNumber, amount_fen, at_ms: 5n },
  ...{ slice_id: BigInt(phase_key), slice_epoch: 1, slice_index: 0 },
});
const journal = { entries: [entryOf(3, 88n), entryOf(4, 99n)] } as unknown as AuditedJournal;

function found(postings: readonly Posting[], history: readonly Seen[] = []): string[] {
  const findings = new Findings();
  const orders = distinctOrders(journal, findings);
  const books = { postings, withdrawals: [] } as unknown as Books;
  checkCredits(orders, books, 1, true, findings);
  checkHistory(history, orders, books, false, findings);
  return findings.list.map(({ what }) => what);
}

it('the same number in two campaigns is two orders', () => {
  const told = (amountFen: number): Seen => ({ t: 'won', orderNumber, amountFen, tokenHash: `${amountFen}` });
  expect(found([creditOf(3, 88n), creditOf(4, 99n)], [told(88), told(99)])).toEqual([]);
  expect(found([creditOf(3, 88n), creditOf(4, 99n)], [told(77)])).toEqual([
    'somebody was told another amount',
  ]);
});

it('one that is missing is missed, whatever stands in the other campaign', () => {
  expect(found([creditOf(3, 88n)])).toEqual(['a promise is not in the ledger']);
  expect(found([creditOf(3, 88n), creditOf(4, 88n)])).toEqual(['a credit is not what was promised']);
});
