import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkStatements, statementStation } from '../../rehearsal/audit/check-statement.ts';
import type { AwardRow } from '../../rehearsal/audit/ledger.ts';
import { Findings } from '../../rehearsal/audit/report.ts';
import { readStatements } from '../../rehearsal/audit/statement.ts';
import { award, catalog, fulfilled, LUCK, TEA, VOUCHER } from '../support/audited-pieces.ts';

/** A real downstream's own words, as CSV or JSON lines: held against the ledger as the sandbox's record is. */
describe('the auditor of partners’ statements', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-statement-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const HEADER = 'orderNumber,item,at,voucher';
  const SAID = `${TEA},cup,2027-02-05T20:30:01+08:00,${VOUCHER}`;
  const OTHER = TEA.replace('1000001', '1000004');
  function found(texts: Record<string, string>, awards: readonly AwardRow[], settled = true) {
    const named = Object.entries(texts).map(([name, text]) => {
      writeFileSync(path.join(folder, name), text);
      return path.join(folder, name);
    });
    const findings = new Findings();
    const statements = readStatements(named, findings);
    const station = statementStation(checkStatements(statements, { awards }, catalog, settled, findings));
    return {
      station: [station.came, ...station.shares].map(({ count }) => count),
      what: findings.list.map(({ invariant, what }) => `${invariant} ${what}`),
      list: findings.list,
    };
  }
  const of = (...lines: string[]) => ({ 'tea.csv': [HEADER, ...lines].join('\r\n') });

  it('finds nothing when all is well, however it is written', () => {
    const greeting = award(LUCK, 'fulfilled');
    const json = { orderNumber: `3-${TEA}`, voucher: VOUCHER, ours: { any: 1 } };
    for (const texts of [
      of(SAID),
      of(`"${TEA}",cup,"5 Feb, ""late""\nin the evening",${VOUCHER}`),
      { 'tea.csv': `\uFEFFvoucher,shop,phaseKey,orderNumber\n${VOUCHER},x,3,${TEA}\n\n` },
      { 'tea.csv': `orderNumber\n3-${TEA}\n` },
      { 'tea.jsonl': `${JSON.stringify(json)}\n` },
    ])
      expect(found(texts, [fulfilled, greeting]), JSON.stringify(texts)).toMatchObject({
        what: [],
        station: [1, 1, 0, 0],
      });
    expect(found(of(SAID), [{ ...fulfilled, state: 'used' }]).what).toEqual([]);
  });

  it('asks the other way round only in the end, and only whose statement is at hand', () => {
    const asking = award(TEA, 'asking');
    expect(found(of(), [fulfilled], false).what).toEqual([]);
    expect(found(of(SAID), [asking], false)).toMatchObject({ what: [], station: [1, 0, 1, 0] });
    expect(found({ 'milk.csv': HEADER }, [fulfilled, asking]).what).toEqual([]);
  });

  it.each<[string, string[], readonly AwardRow[], string]>([
    ['a piece given twice', [SAID, SAID], [fulfilled], 'I1 a piece was handed out more than once'],
    [
      'a piece given twice, with another voucher',
      [SAID, SAID.replace('AAAA', 'ZZZZ')],
      [fulfilled],
      'I1 a piece was handed out more than once',
    ],
    [
      'a piece given without an award',
      [SAID, SAID.replace(TEA, OTHER)],
      [fulfilled],
      'I8 a downstream was asked for a piece that was never credited',
    ],
    [
      'a piece of another phase',
      [SAID.replace(TEA, `4-${TEA}`)],
      [fulfilled],
      'I8 a downstream was asked for a piece that was never credited',
    ],
    [
      'a dead letter that was given',
      [SAID],
      [award(TEA, 'dead')],
      'I8 a piece was handed out and is a dead letter',
    ],
    [
      'a fulfilled piece that is not on it',
      [SAID],
      [fulfilled, award(OTHER, 'used', 'X')],
      'I2 a fulfilled piece was never handed out',
    ],
    [
      'another voucher',
      [SAID.replace('AAAA', 'ZZZZ')],
      [fulfilled],
      'I2 a voucher is not the one that was handed out',
    ],
    [
      'a voucher that nobody sees',
      [SAID],
      [award(TEA, 'used')],
      'I2 a voucher is not the one that was handed out',
    ],
    [
      'another thing',
      [SAID.replace('cup', 'pot')],
      [fulfilled],
      'I1 a piece was asked for that its scene does not give',
    ],
    [
      'a piece on its way in the end, given',
      [SAID],
      [award(TEA, 'asking')],
      'I2 a piece is still on its way',
    ],
    [
      'a piece on its way in the end, not given',
      [],
      [award(TEA, 'granted')],
      'I2 a piece is still on its way',
    ],
    [
      'a line without a number',
      [SAID, 'gibberish,,,'],
      [fulfilled],
      'format a line of a statement has no order number',
    ],
    [
      'a number that two phases have',
      [SAID],
      [fulfilled, { ...fulfilled, phase_key: 4 }],
      'format a statement’s order number is of several phases',
    ],
  ])('sees %s', (_, lines, awards, expected) => {
    expect(found(of(...lines), awards).what).toContain(expected);
  });

  it('takes all files of one connector for one statement, and says where the second was', () => {
    const twice = found({ 'tea.csv': `${HEADER}\n${SAID}\n`, 'milk.csv': `${HEADER}\n\n${SAID}` }, [
      fulfilled,
    ]);
    expect(twice.list[0]).toMatchObject({
      what: 'a piece was handed out more than once',
      detail: expect.stringMatching(/by tea at 2027.*tea\.csv:2\), by milk at 2027.*milk\.csv:3\)/),
    });
    expect(twice.what).toContain('I1 a piece was asked for that its scene does not give');
    writeFileSync(path.join(folder, 'a.csv'), `${HEADER}\n${SAID}\n`);
    const named = ['a.csv', 'b.csv'].map((file) => `tea=${path.join(folder, file)}`);
    writeFileSync(path.join(folder, 'b.csv'), `${HEADER}\n${SAID.replace(TEA, OTHER)}\n`);
    expect(readStatements(named, new Findings())).toMatchObject({
      connectors: new Set(['tea']),
      lines: [{ connector: 'tea' }, { connector: 'tea', orderNumber: OTHER }],
    });
  });
});
