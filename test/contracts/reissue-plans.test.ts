import type { Pool } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { reissueMigrations } from '../../src/engines/postgres/reissue/index.ts';
import markDuplicatesSql from '../../src/engines/postgres/reissue/mark-duplicates.sql';
import noteCheckedSql from '../../src/engines/postgres/reissue/note-checked.sql';
import settleSql from '../../src/engines/postgres/reissue/settle.sql';
import takeSql from '../../src/engines/postgres/reissue/take.sql';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const LINES = 3_000;
const BATCH = 1_000;

interface Plan {
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly Plans?: readonly Plan[];
}

/** Every row that any part of the plan has looked at. */
const rowsIn = (plan: Plan): number =>
  plan['Actual Loops'] *
    (plan['Actual Rows'] +
      (plan['Rows Removed by Filter'] ?? 0) +
      (plan['Rows Removed by Join Filter'] ?? 0)) +
  (plan.Plans ?? []).reduce((sum, part) => sum + rowsIn(part), 0);

let server: TestPostgres;
let pool: Pool;

/** A list of which the statistics know nothing, behind one that they know; its lines stand in this state. */
async function aNewList(state: string): Promise<void> {
  await pool.query('TRUNCATE reissue.line, reissue.job RESTART IDENTITY CASCADE');
  const bring = async (job: number): Promise<void> => {
    await pool.query(
      "INSERT INTO reissue.job (state, made_by, made_at_ms, per_second, approved_by) VALUES ('running', 'ann', 1, 100, 'bob')",
    );
    await pool.query(
      `INSERT INTO reissue.line (job_id, line, state, outcome, campaign_id, scene_id, rain_id, app_id, act_id, phase_key, drawn_at_ms, order_number)
       SELECT $1, n, $2::text, CASE WHEN $2::text = 'settled' THEN 'granted' END, 'gala', 'cash', 1, 1, n, 3, 1, (n / 2)::text
       FROM generate_series(1, $3) AS n`,
      [job, job === 1 ? 'settled' : state, LINES],
    );
  };
  await bring(1);
  await pool.query('ANALYZE reissue.line, reissue.job');
  await bring(2);
}

async function rowsLookedAt(text: string, values: unknown[]): Promise<number> {
  const { rows } = await pool.query<{ 'QUERY PLAN': readonly { Plan: Plan }[] }>(
    `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${text}`,
    values,
  );
  return rowsIn(rows[0]!['QUERY PLAN'][0]!.Plan);
}

const some = Array.from({ length: BATCH }, (_, n) => n + 1);
const all = <Value>(value: Value): Value[] => some.map(() => value);

beforeAll(async () => {
  server = await startTestPostgres();
  pool = openPool({
    url: await server.createDatabase(),
    logger: quiet,
    connectionsMax: 1,
    applicationName: 'test',
  });
  await migrate(pool, reissueMigrations);
  // What has to be known is known when the test says so.
  await pool.query('ALTER TABLE reissue.line SET (autovacuum_enabled = off)');
});
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const STATEMENTS: readonly [string, string, string, unknown[]][] = [
  ['note-checked', 'unchecked', noteCheckedSql, [2, some, all(null), some, all(3), all('x'), all(false)]],
  ['mark-duplicates', 'waiting', markDuplicatesSql, [2, 1]],
  ['take', 'waiting', takeSql, [2, BATCH, true, [], []]],
  ['settle', 'asking', settleSql, [2, 1, some, all('granted'), all('x'), all(1), all(null)]],
];

it.each(STATEMENTS)(
  '%s looks at a list once, not once for each of its lines, also when nothing is known of it yet',
  async (_, state, text, values) => {
    await aNewList(state);
    // A plan that compares each with each looks at three million.
    expect(await rowsLookedAt(text, values)).toBeLessThan(20 * 2 * LINES);
  },
);
