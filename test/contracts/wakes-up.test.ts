import type { PoolClient } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { withRetry } from '../../src/engines/postgres/retryable.ts';
import { transaction } from '../../src/engines/postgres/transaction.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';

let server: TestPostgres;
beforeAll(async () => {
  server = await startTestPostgres();
});
afterAll(() => server.stop());

/** Nothing of this process runs meanwhile, as if somebody had stopped and continued it. */
const freezeMs = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

it('a process that was frozen in a transaction for longer than the database waits does it again', async () => {
  const pool = openPool({
    url: await server.createDatabase(),
    logger: quiet,
    connectionsMax: 2,
    applicationName: 'test',
  });
  const seen: unknown[] = [];
  let tries = 0;
  const act = async (client: PoolClient) => {
    tries += 1;
    if (seen.length > 0) return 'done';
    await client.query("SET LOCAL idle_in_transaction_session_timeout = '20ms'");
    freezeMs(100 * 2 ** tries);
    await client.query('SELECT 1').catch((error: unknown) => {
      seen.push((error as { code?: string }).code);
      throw error;
    });
    throw Object.assign(new Error('it was not frozen for long enough'), { code: '40001' });
  };
  const retry = { tries: 8, sleepMs: async () => {}, random: Math.random };
  expect(await withRetry(() => transaction(pool, act), retry)).toBe('done');
  expect(seen).toEqual(['25P03']);
  await pool.end();
}, 120_000);

it.each(['ENETUNREACH', 'EADDRNOTAVAIL', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ECONNABORTED'])(
  'a connection that can’t be made passes: %s',
  async (code) => {
    let tries = 0;
    const act = async () => {
      tries += 1;
      if (tries === 1) throw Object.assign(new Error(`connect ${code}`), { code });
      return 'done';
    };
    const retry = { tries: 2, sleepMs: async () => {}, random: Math.random };
    expect(await withRetry(act, retry)).toBe('done');
  },
);
