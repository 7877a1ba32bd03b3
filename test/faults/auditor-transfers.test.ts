import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkTransfers } from '../../rehearsal/audit/check-transfers.ts';
import { type LedgerRows, ledgerRows, type Posting, reading } from '../../rehearsal/audit/ledger.ts';
import { Findings } from '../../rehearsal/audit/report.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { createLedger, ledgerMigrations } from '../../src/ledger/index.ts';
import type { ActId, PhaseKey } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { anOrder } from '../support/orders.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const [elder, younger, stranger] = [1_000_001n, 1_000_002n, 1_000_003n] as [ActId, ActId, ActId];
const ALIASES = [{ act_id: younger as bigint, root_act_id: elder as bigint }];
const AT_REST = { settled: true, atOnce: true };

describe('the auditor of transfers', () => {
  let server: TestPostgres;
  let books: LedgerRows;
  let broken: LedgerRows;

  beforeAll(async () => {
    server = await startTestPostgres();
    const url = await server.createDatabase();
    const pool = openPool({ url, logger: quiet, connectionsMax: 2, applicationName: 'test' });
    await migrate(pool, ledgerMigrations);
    const ledger = createLedger({ pool, retry: { tries: 1, sleepMs: async () => {}, random: () => 0 } });
    const from = { actId: younger, phaseKey: 3 as PhaseKey };
    const move = () => ledger.moveBalance(from, elder, instantMs(5));
    await ledger.credit([1, 2].map((person) => anOrder({ person, fen: 50 })));
    await move();
    await ledger.credit([anOrder({ person: 2, rain: 2, index: 9 })]);
    await move();
    books = await reading(url, ledgerRows);
    await ledger.credit([anOrder({ person: 2, rain: 3, index: 10 })]);
    await ledger.sendAll(from, elder, instantMs(6));
    broken = await reading(url, ledgerRows);
    await pool.end();
  });
  afterAll(() => server.stop());

  const found = (rows: LedgerRows, aliases = ALIASES, how = AT_REST): string[] => {
    const findings = new Findings();
    checkTransfers(rows, { aliases }, how, findings);
    return [...new Set(findings.list.map(({ invariant, what }) => `${invariant} ${what}`))];
  };
  const without = (gone: (posting: Posting) => boolean): LedgerRows => ({
    ...books,
    postings: books.postings.filter((posting) => !gone(posting)),
  });
  const isFirst = (posting: Posting) => posting.ref === `transfer:${younger}:${elder}:1`;

  it('finds nothing at rest, nor in the middle of a transfer while people play', () => {
    expect(found(books)).toEqual([]);
    expect(found(broken, ALIASES, { settled: false, atOnce: true })).toEqual([]);
    expect(found(broken)).toEqual(['I2 a transfer never arrived', 'I2 an alias has money at rest']);
  });

  it.each<[string, () => string[], string]>([
    [
      'money that came and never left',
      () => found(without((posting) => isFirst(posting) && posting.act_id === younger)),
      'I1 money of a transfer came that never left',
    ],
    [
      'a leg that is missing',
      () => found(without((posting) => isFirst(posting) && posting.act_id === 0n)),
      'I6 a transfer’s legs are not two of one amount',
    ],
    [
      'money that came to somebody else',
      () =>
        found({
          ...books,
          postings: books.postings.map((posting) =>
            isFirst(posting) && posting.act_id === elder ? { ...posting, act_id: stranger } : posting,
          ),
        }),
      'I1 a transfer has a leg in an account of somebody else',
    ],
    ['a transfer between strangers', () => found(books, []), 'I1 money was moved from one person to another'],
    [
      'an alias that was left with something',
      () =>
        found({
          ...books,
          postings: [
            ...books.postings,
            { ...books.postings.find(isFirst)!, act_id: younger, ref: 'x', purse: 1, amount_fen: 3n },
          ],
        }),
      'I2 an alias has money at rest',
    ],
    [
      'a chain of aliases',
      () => found(books, [...ALIASES, { act_id: elder, root_act_id: 5n }]),
      'I1 an alias’s person is an alias too',
    ],
  ])('sees %s', (_, faulty, expected) => expect(faulty()).toContain(expected));
});
