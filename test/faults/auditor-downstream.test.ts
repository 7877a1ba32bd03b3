import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkHandedOut } from '../../rehearsal/audit/check-handed-out.ts';
import { checkConservation } from '../../rehearsal/audit/conservation.ts';
import { readDownstream } from '../../rehearsal/audit/downstream.ts';
import type { JournalEntry } from '../../rehearsal/audit/journal.ts';
import type { AwardRow, Books, Posting } from '../../rehearsal/audit/ledger.ts';
import { Findings } from '../../rehearsal/audit/report.ts';
import { auditText } from '../../src/processes/cli/audit-report.ts';

const TEA = '1000001_tea_1_drinks-coupon_live';
const LUCK = '1000001_luck_1_greeting_live';
const CASH = '1000002_cash_1_cash_live';

const scene = (id: string, award: string, worthFen: number, fulfil?: object) => ({
  id,
  award,
  amount: { rule: 'piece', worthFen },
  ...(fulfil ? { fulfil } : {}),
});
const catalog = {
  campaigns: [
    {
      campaign_id: 'gala',
      source: JSON.stringify({
        rewards: [
          {
            items: [
              {
                scenes: [
                  scene('tea', 'drinks-coupon', 1_900, { connector: 'tea', item: 'cup' }),
                  scene('luck', 'greeting', 0),
                ],
              },
            ],
          },
        ],
      }),
    },
  ],
  phases: [{ campaign_id: 'gala', phase_id: 'live', phase_key: 3 }],
};

const award = (ref: string, state: string, voucher: string | null = null): AwardRow => ({
  act_id: BigInt(ref.split('_')[0]!),
  phase_key: 3,
  ref,
  state,
  voucher,
});
const handed = {
  connector: 'tea',
  orderNumber: TEA,
  phaseKey: 3,
  item: 'cup',
  actId: '1000001',
  worthFen: 1_900,
  state: 'done',
  voucher: 'AAAA-BBBB-CCCC',
};
const fulfilled = award(TEA, 'fulfilled', handed.voucher);

/** The auditor's look at the downstreams' own record: silent when it and the ledger agree, and not for one planted fault. */
describe('the auditor of what was handed out', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-pieces-'));
    mkdirSync(path.join(folder, 'award-sandbox'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const write = (...lines: readonly (object | string)[]): void => {
    for (const line of lines)
      appendFileSync(
        path.join(folder, 'award-sandbox', 'pieces.jsonl'),
        typeof line === 'string' ? line : `${JSON.stringify(line)}\n`,
      );
  };
  function found(awards: readonly AwardRow[], settled = true): string[] {
    const findings = new Findings();
    const record = readDownstream([folder], findings);
    checkHandedOut({ before: record, after: record }, { awards }, catalog, settled, findings);
    return findings.list.map(({ invariant, what }) => `${invariant} ${what}`);
  }

  it('finds nothing when all is well: greetings need nobody, dead ones were refused', () => {
    const refused = '1000003_tea_1_drinks-coupon_live';
    write(
      { ...handed, state: 'processing', voucher: undefined },
      handed,
      { ...handed, orderNumber: refused, actId: '1000003', state: 'rejected', voucher: undefined },
      '{"cut":',
    );
    expect(found([fulfilled, award(LUCK, 'fulfilled'), award(refused, 'dead')])).toEqual([]);
    expect(found([{ ...fulfilled, state: 'used' }, award(refused, 'dead')])).toEqual([]);
  });

  it('has nothing to say of downstreams whose record is not at hand, but for greetings', () => {
    expect(found([fulfilled, award(CASH, 'asking')])).toEqual([]);
    expect(found([award(LUCK, 'granted')])).toEqual(['I2 a piece is still on its way']);
  });

  it('lets a piece be on its way while people play, and in the end only if its downstream works on it', () => {
    write({ ...handed, state: 'processing', voucher: undefined });
    expect(found([award(TEA, 'asking')])).toEqual([]);
    write(handed);
    expect(found([award(TEA, 'asking')], false)).toEqual([]);
    expect(found([award(TEA, 'asking')])).toEqual(['I2 a piece is still on its way']);
    expect(found([award(TEA, 'granted')])).toEqual(['I2 a piece is still on its way']);
  });

  it.each<[string, readonly object[], readonly AwardRow[], string]>([
    [
      'a piece that was handed out twice',
      [handed, handed],
      [fulfilled],
      'I1 a piece was handed out more than once',
    ],
    [
      'a piece that two downstreams handed out',
      [handed, { ...handed, connector: 'other' }],
      [fulfilled],
      'I1 a piece was handed out more than once',
    ],
    [
      'a piece that nobody handed out',
      [{ ...handed, state: 'processing' }],
      [fulfilled],
      'I2 a fulfilled piece was never handed out',
    ],
    [
      'a used piece that no downstream has heard of',
      [{ ...handed, orderNumber: LUCK.replace('luck', 'tea') }],
      [{ ...fulfilled, state: 'used' }],
      'I2 a fulfilled piece was never handed out',
    ],
    [
      'another voucher than was handed out',
      [{ ...handed, voucher: 'ZZZZ' }],
      [fulfilled],
      'I2 a voucher is not the one that was handed out',
    ],
    [
      'a voucher that the ledger does not have',
      [handed],
      [award(TEA, 'fulfilled')],
      'I2 a voucher is not the one that was handed out',
    ],
    [
      'a piece that was never credited',
      [handed],
      [],
      'I8 a downstream was asked for a piece that was never credited',
    ],
    [
      'a piece of another phase',
      [handed, { ...handed, phaseKey: 4 }],
      [fulfilled],
      'I8 a downstream was asked for a piece that was never credited',
    ],
    [
      'a greeting that somebody was asked for',
      [{ ...handed, orderNumber: LUCK }],
      [award(LUCK, 'fulfilled')],
      'I8 a downstream was asked for what needs none',
    ],
    [
      'a dead letter that was handed out',
      [handed],
      [award(TEA, 'dead')],
      'I8 a piece was handed out and is a dead letter',
    ],
    [
      'a piece of another worth',
      [{ ...handed, worthFen: 1_901 }],
      [fulfilled],
      'I1 a piece was asked for that its scene does not give',
    ],
    [
      'another thing than the scene gives',
      [{ ...handed, item: 'pot' }],
      [fulfilled],
      'I1 a piece was asked for that its scene does not give',
    ],
    [
      'another downstream than the scene names',
      [{ ...handed, connector: 'milk' }],
      [fulfilled],
      'I1 a piece was asked for that its scene does not give',
    ],
    [
      'a piece for somebody else',
      [{ ...handed, actId: '1000002' }],
      [fulfilled],
      'I1 a piece was asked for somebody else',
    ],
    [
      'a record that can’t be read',
      [handed, { ...handed, state: 'lost' }],
      [fulfilled],
      'format a line of a downstream’s record can’t be read',
    ],
  ])('sees %s', (_, lines, awards, expected) => {
    write(...lines);
    expect(found(awards)).toContain(expected);
  });

  it('takes nothing for a fault that happened between its looks', () => {
    write(handed);
    const later = readDownstream([folder], new Findings());
    const findings = new Findings();
    // Asked for after the books were read: only the second look has it, and the books do not.
    checkHandedOut({ before: new Map(), after: later }, { awards: [] }, catalog, false, findings);
    // A dead letter that was replayed behind the books.
    const books = { awards: [award(TEA, 'dead')] };
    checkHandedOut({ before: new Map(), after: later }, books, catalog, false, findings);
    // Handed out and noted between the first look and the books.
    checkHandedOut({ before: new Map(), after: later }, { awards: [fulfilled] }, catalog, false, findings);
    expect(findings.list).toEqual([]);
  });
});

describe('conservation at every station', () => {
  const entry = (ref: string, fen: bigint, isVoid = false): [string, JournalEntry] => [
    ref,
    { order: { orderNumber: ref, award: ref.split('_')[3]!, fen }, isVoid, sequence: 1 } as JournalEntry,
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
