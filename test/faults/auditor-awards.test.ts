import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkAwards, checkBalances, checkCredits } from '../../rehearsal/audit/check-money.ts';
import { checkAgainstCampaign, distinctOrders } from '../../rehearsal/audit/check-orders.ts';
import type { JournalEntry } from '../../rehearsal/audit/journal.ts';
import { type Catalog, readBooks } from '../../rehearsal/audit/ledger.ts';
import { Findings } from '../../rehearsal/audit/report.ts';
import { readToken } from '../../rehearsal/audit/token.ts';
import { allotmentMigrations } from '../../src/engines/postgres/allotments/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { createLedger, ledgerMigrations } from '../../src/ledger/index.ts';
import { encodeToken } from '../../src/protocol/token-codec.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { LIVE_CLOSES_MS, LIVE_OPENS_MS } from '../support/campaign.ts';
import { anOrder } from '../support/orders.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';

/** The auditor's look at pieces: silent over a ledger with all kinds of awards, and not for one planted fault. */
describe('the auditor of pieces', { timeout: 60_000 }, () => {
  let server: TestPostgres;
  let pool: Pool;
  let url: string;
  const money = anOrder({ person: 1 });
  const tea = anOrder({ person: 1, scene: 'tea', award: 'drinks-coupon', fen: 1_900 });
  const luck = anOrder({ person: 2, scene: 'luck', award: 'greeting', fen: 0 });

  beforeAll(async () => {
    server = await startTestPostgres();
    url = await server.createDatabase();
    pool = openPool({ url, logger: quiet, connectionsMax: 2, applicationName: 'test' });
    await migrate(pool, [...ledgerMigrations, ...allotmentMigrations]);
    const ledger = createLedger({ pool, retry: { tries: 1, sleepMs: async () => {}, random: () => 0 } });
    await ledger.credit([money, tea, luck]);
    await ledger.settleAward({ actId: tea.actId, phaseKey: tea.phaseKey }, tea.orderNumber, {
      state: 'fulfilled',
    });
  });
  afterAll(async () => {
    await pool.end();
    await server.stop();
  });

  const scenes = [
    ['cash', 'cash', { rule: 'split' }, { packetFen: 100 }],
    ['tea', 'drinks-coupon', { rule: 'piece', worthFen: 1_900 }, {}],
    ['luck', 'greeting', { rule: 'piece' }, {}],
  ].map(([id, award, amount, caps]) => ({
    id,
    award,
    amount,
    sponsor: 's',
    caps: { personPackets: 9, ...(caps as object) },
  }));
  const source = JSON.stringify({
    limits: { packets: 9, packetsPerSponsor: 9 },
    rewards: [{ items: [{ scenes }] }],
    phases: [
      {
        id: 'live',
        opensAt: new Date(LIVE_OPENS_MS).toISOString(),
        closesAt: new Date(LIVE_CLOSES_MS).toISOString(),
      },
    ],
  });
  const catalog: Catalog = {
    campaigns: [{ campaign_id: 'gala', source }],
    phases: [{ campaign_id: 'gala', phase_id: 'live', phase_key: 3 }],
    aliases: [],
    slices: [],
  };

  async function found(promised: readonly Order[] = [money, tea, luck]): Promise<string[]> {
    const findings = new Findings();
    const entries = promised.map(
      (order, at): JournalEntry => ({
        order: readToken(encodeToken(order)),
        sequence: at + 1,
        isVoid: false,
      }),
    );
    const orders = distinctOrders({ entries, batches: [], records: entries.length, fences: 0 }, findings);
    checkAgainstCampaign(orders, catalog, findings);
    const books = await readBooks(url);
    checkCredits(orders, books, entries.length, true, findings);
    checkAwards(books, findings);
    checkBalances(books, findings);
    return findings.list.map(({ invariant, what }) => `${invariant} ${what}`);
  }

  it('finds nothing when all is well', async () => expect(await found()).toEqual([]));

  const ofTea = `purse = 6 AND ref = '${tea.orderNumber}'`;
  it.each([
    [
      'a piece that nobody hands out',
      'DELETE FROM ledger.award',
      ['I2 a credited piece is handed out by nobody'],
    ],
    [
      'a piece that is handed out and was never credited',
      `INSERT INTO ledger.award (act_id, phase_key, ref, due_at_ms) VALUES (9, 3, '9_tea_1_drinks-coupon_live', 0)`,
      ['I8 a piece is handed out that was never credited'],
    ],
    [
      'a piece that was never credited',
      `DELETE FROM ledger.posting WHERE ${ofTea}`,
      ['I2 a promise is not in the ledger', 'I6 the postings do not sum to zero'],
    ],
    [
      'a credited piece that nobody promised',
      `UPDATE ledger.posting SET ref = '1000001_tea_2_drinks-coupon_live' WHERE ${ofTea}`,
      ['I8 a credit has no promise in the journal', 'I2 a promise is not in the ledger'],
    ],
    [
      'a piece of another worth',
      `UPDATE ledger.posting SET amount_fen = 1901 WHERE ${ofTea}`,
      ['I1 a credit is not what was promised', 'I6 the postings do not sum to zero'],
    ],
    [
      'a piece that was credited as money',
      `UPDATE ledger.posting SET purse = 1 WHERE ${ofTea}`,
      ['I1 a piece was credited as money, or money as a piece'],
    ],
  ])('sees %s', async (_, sql, expected) => {
    const tables = ['posting', 'award'];
    for (const table of tables)
      await pool.query(`CREATE TABLE public.kept_${table} AS TABLE ledger.${table}`);
    try {
      expect((await pool.query(sql)).rowCount).toBeGreaterThan(0);
      expect(await found()).toEqual(expect.arrayContaining(expected));
    } finally {
      for (const table of tables)
        await pool.query(
          `DELETE FROM ledger.${table}; INSERT INTO ledger.${table} TABLE public.kept_${table}; DROP TABLE public.kept_${table}`,
        );
    }
    expect(await found()).toEqual([]);
  });

  it.each([
    ['money of no amount', { ...money, amountFen: 0n as Fen }, 'I4 a packet is over its cap'],
    [
      'a piece worth more than its scene says',
      { ...tea, amountFen: 2_000n as Fen },
      'I4 a piece is not worth what its scene says',
    ],
    [
      'an award that its scene does not give',
      anOrder({ person: 3, scene: 'tea' }),
      'I7 an order is of another award than its scene',
    ],
    [
      'an award of no known kind',
      anOrder({ person: 3, scene: 'tea', award: 'gold' as never }),
      'I1 an order number is not the format of its own fields',
    ],
  ])('sees a promise of %s', async (_, order, expected) => {
    expect(await found([order, money, tea, luck])).toContain(expected);
  });
});
