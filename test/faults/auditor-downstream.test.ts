import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkHandedOut } from '../../rehearsal/audit/check-handed-out.ts';
import { readDownstream } from '../../rehearsal/audit/downstream.ts';
import type { AwardRow } from '../../rehearsal/audit/ledger.ts';
import { Findings } from '../../rehearsal/audit/report.ts';
import { award, CASH, catalog, fulfilled, LUCK, TEA, VOUCHER } from '../support/audited-pieces.ts';

const handed = {
  connector: 'tea',
  orderNumber: TEA,
  phaseKey: 3,
  item: 'cup',
  actId: '1000001',
  worthFen: 1_900,
  state: 'done',
  voucher: VOUCHER,
};

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
