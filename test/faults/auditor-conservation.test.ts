import { describe, expect, it } from 'vitest';
import { checkConservation } from '../../rehearsal/audit/conservation.ts';
import type { JournalEntry } from '../../rehearsal/audit/journal.ts';
import type { Books, Posting } from '../../rehearsal/audit/ledger.ts';
import { Findings } from '../../rehearsal/audit/report.ts';
import { auditText } from '../../src/processes/cli/audit-report.ts';
import { award, CASH, fulfilled, LUCK, TEA } from '../support/audited-pieces.ts';

describe('conservation at every station', () => {
  const entry = (ref: string, fen: bigint, isVoid = false): [string, JournalEntry] => [
    ref,
    {
      order: { orderNumber: ref, phaseKey: 3, award: ref.split('_')[3]!, fen },
      isVoid,
      sequence: 1,
    } as JournalEntry,
  ];
  const posting = (ref: string, purse: number, amount_fen: bigint, more: Partial<Posting> = {}): Posting => ({
    act_id: BigInt(ref.split('_')[0]!),
    phase_key: 3,
    purse,
    ref,
    amount_fen,
    at_ms: 0n,
    slice_id: 1n,
    slice_epoch: 1,
    slice_index: 1,
    ...more,
  });
  const line = {
    phase_key: 3,
    scene_id: 'tea',
    rain_id: 0,
    rule: 'piece',
    levels: [],
    packet_cap_fen: 0n,
    total_packets: 10n,
    total_fen: 0n,
    remaining_packets: 6n,
    remaining_fen: 0n,
    leased_packets: 1n,
    leased_fen: 0n,
    given_packets: 3n,
    given_fen: 0n,
  };
  const orders = new Map([
    entry(CASH, 300n),
    entry('5_cash_1_cash_live', 7n),
    entry('6_cash_1_cash_live', 9n, true),
    entry(TEA, 1_900n),
    entry(LUCK, 0n),
  ]);
  const books: Books = {
    postings: [
      posting(CASH, 1, 300n),
      posting(CASH, 1, -100n, { slice_id: null, ref: 'w' }),
      posting(CASH, 2, 40n, { slice_id: null, ref: 'w' }),
      posting('0', 4, 60n, { slice_id: null, ref: 'w', act_id: 0n }),
      posting(TEA, 6, 1_900n),
      posting(LUCK, 6, 0n),
      posting('0', 3, -2_200n, { act_id: -1n, ref: 'batch', slice_index: 3 }),
    ],
    withdrawals: [],
    awards: [fulfilled, award(LUCK, 'granted')],
    lines: [line],
    slices: [],
  };

  const linesOf = (planted: Partial<Books>, known = 1) => {
    const findings = new Findings();
    const conserved = checkConservation(
      { orders, books: { ...books, ...planted }, handedOut: { count: 1, known } },
      findings,
    );
    const where = findings.list.map((one) => {
      expect(one).toMatchObject({ invariant: 'I8', what: 'what came in is not what is there' });
      return one.where;
    });
    const report = { ok: where.length === 0, checked: { orders: 5 }, conserved, findings: findings.list };
    return { where, text: auditText(report) };
  };

  it('is one line for each, as operators read it', () => {
    const { where, text } = linesOf({});
    expect(where).toEqual([]);
    expect(text.split('\n')).toEqual([
      'Nothing found. I1–I8 hold.',
      '',
      '  money, promised     3 (¥3.16) accepted = 1 (¥3.00) credited + 1 (¥0.07) outstanding + 1 (¥0.09) void',
      '  pieces, promised    2 (¥19.00) accepted = 2 (¥19.00) credited + 0 (¥0.00) outstanding + 0 (¥0.00) void',
      '  taken from slices   3 (¥22.00) taken = 1 (¥3.00) money + 2 (¥19.00) pieces',
      '  money, in fen       ¥3.00 credited = ¥2.00 in wallets + ¥0.40 held for withdrawal + ¥0.60 paid out',
      '  pieces, credited    2 (¥19.00) credited = 1 (¥19.00) fulfilled + 0 (¥0.00) used + 0 (¥0.00) asking + 1 (¥0.00) granted + 0 (¥0.00) dead',
      '  pieces, downstream  1 handed out = 1 known of + 0 to be heard of',
      '  budgets of scenes   10 planned = 3 given + 1 in slices + 6 remaining',
      '',
      'Looked at 5 orders.',
    ]);
  });

  it.each<[string, Partial<Books>, string]>([
    [
      'a credit of which nobody knows',
      { postings: [...books.postings, posting('9_x_1_cash_live', 1, 5n)] },
      'money, promised',
    ],
    [
      'money that went elsewhere',
      {
        postings: books.postings.map((one) => (one.purse === 4 ? { ...one, purse: 9 } : one)),
      },
      'money, in fen',
    ],
    [
      'a funding leg of nothing that is gone',
      { postings: books.postings.map((one) => (one.purse === 3 ? { ...one, slice_index: 2 } : one)) },
      'taken from slices',
    ],
    ['a piece in no state', { awards: [fulfilled] }, 'pieces, credited'],
    ['a piece in a state of its own', { awards: [fulfilled, award(LUCK, 'mislaid')] }, 'pieces, credited'],
    [
      'a void piece that was credited',
      { postings: [...books.postings, posting('9_tea_1_drinks-coupon_live', 6, 1_900n)] },
      'pieces, promised',
    ],
    ['a budget that lacks one', { lines: [{ ...line, remaining_packets: 5n }] }, 'budgets of scenes'],
  ])('sees %s', (_, planted, station) => {
    const { where, text } = linesOf(planted);
    expect(where).toContain(station);
    expect(text).toMatch(new RegExp(`${station} .* ≠ `));
  });
});
