import type { Pool, PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anOrder } from '../../test/support/orders.ts';
import { postgresKinds, quiet, startTestPostgres, type TestPostgres } from '../../test/support/postgres.ts';
import type { Ledger } from '../engines/ports.ts';
import { migrate } from '../engines/postgres/migrate.ts';
import { openPool } from '../engines/postgres/pool.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { Order } from '../vocabulary/order.ts';
import { createLedger, ledgerMigrations } from './index.ts';

describe.each(postgresKinds())('a batch of credits on %s Postgres', (kind) => {
  let server: TestPostgres;
  let pool: Pool;
  let ledger: Ledger;

  beforeAll(async () => {
    server = await startTestPostgres(kind);
    pool = openPool({
      url: await server.createDatabase(),
      logger: quiet,
      connectionsMax: 6,
      applicationName: 'test',
    });
    await migrate(pool, ledgerMigrations);
    ledger = createLedger({ pool, retry: { tries: 1, sleepMs: () => Promise.resolve(), random: () => 0 } });
  });
  afterAll(async () => {
    await ledger.close();
    await server.stop();
  });

  const postings = async (sliceId: number) =>
    (
      await pool.query(
        `SELECT act_id, phase_key, purse, amount_fen, slice_epoch, slice_index, at_ms
         FROM ledger.posting WHERE slice_id = $1 ORDER BY act_id, phase_key, ref`,
        [sliceId],
      )
    ).rows;
  const balances = async (from: number, to: number) =>
    (
      await pool.query(
        'SELECT balance_fen, income_fen FROM ledger.account WHERE act_id BETWEEN $1 AND $2 ORDER BY act_id, phase_key',
        [1_000_000 + from, 1_000_000 + to],
      )
    ).rows.map((row) => [row.balance_fen, row.income_fen]);

  it('posts both legs of each order, the slice once a batch and phase', async () => {
    const receipt = await ledger.credit([
      anOrder({ person: 12, slice: 31, fen: 5, index: 0, atMs: 1_800_000_000_009 }),
      anOrder({ person: 11, slice: 31, fen: 6, index: 1, atMs: 1_800_000_000_003 }),
      anOrder({ person: 11, slice: 32, fen: 7, index: 2, rain: 2 }),
      anOrder({ person: 13, slice: 31, fen: 8, index: 3, phase: 'gray', phaseKey: 2 }),
    ]);
    expect(receipt).toEqual({ credited: 4, alreadyCredited: 0, conflicting: [] });
    const leg = { slice_epoch: null, purse: 3, act_id: -31n };
    expect(await postings(31)).toMatchObject([
      { ...leg, phase_key: 2, amount_fen: -8n, slice_index: 1 },
      { ...leg, phase_key: 3, amount_fen: -11n, slice_index: 2, at_ms: 1_800_000_000_009n },
      { act_id: 1_000_011n, purse: 1, amount_fen: 6n, slice_epoch: 1, slice_index: 1 },
      { act_id: 1_000_012n, purse: 1, amount_fen: 5n, slice_index: 0, at_ms: 1_800_000_000_009n },
      { act_id: 1_000_013n, purse: 1, amount_fen: 8n, phase_key: 2 },
    ]);
    expect(await balances(11, 13)).toEqual([
      [13n, 13n],
      [5n, 5n],
      [8n, 8n],
    ]);
  });

  it('counts what is new beside what was there, and moves nothing twice', async () => {
    const batch = (rain: number) => [21, 22, 23].map((person) => anOrder({ person, rain, slice: 33 }));
    await ledger.credit(batch(1));
    expect(await ledger.credit([...batch(1), ...batch(2)])).toEqual({
      credited: 3,
      alreadyCredited: 3,
      conflicting: [],
    });
    expect(await balances(21, 23)).toEqual([
      [200n, 200n],
      [200n, 200n],
      [200n, 200n],
    ]);
    expect(await ledger.sliceTally(3 as never, 33n as never)).toEqual({ packets: 6, fen: 600n });
  });

  it('moves nothing of a batch that holds an amount beyond what a row can hold', async () => {
    const half = (2n ** 62n) as Fen;
    const rich = (rain: number): Order => ({ ...anOrder({ person: 31, rain }), amountFen: half });
    await expect(ledger.credit([anOrder({ person: 32 }), rich(1), rich(2)])).rejects.toThrow(RangeError);
    expect(await balances(31, 32)).toEqual([]);
  });

  it('waits for nobody who takes from the same account', async () => {
    const taker: PoolClient = await pool.connect();
    const order = anOrder({ person: 41 });
    await taker.query('BEGIN');
    await taker.query('SELECT ledger.lock_account($1, $2)', [order.actId, order.phaseKey]);
    expect((await ledger.credit([order])).credited).toBe(1);
    await taker.query('ROLLBACK');
    taker.release();
    expect(await balances(41, 41)).toEqual([[100n, 100n]]);
  });
});
