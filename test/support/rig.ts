import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Allotments, Awards, Ledger } from '../../src/engines/ports.ts';
import { allotmentMigrations, createAllotments } from '../../src/engines/postgres/allotments/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { createLedger, ledgerMigrations } from '../../src/ledger/index.ts';
import { type Clock, instantMs } from '../../src/vocabulary/instant.ts';
import { quiet, startTestPostgres } from './postgres.ts';
import { openPromises, type Promises } from './promises.ts';

/** A clock that the test moves; monotonic time runs by itself unless moved too. */
export interface TestClock extends Clock {
  set(nowMs: number): void;
}

export function testClock(startMs = 1_800_000_000_000): TestClock {
  let nowMs = startMs;
  return {
    now: () => instantMs(nowMs),
    monotonicMs: () => performance.now(),
    set(next) {
      nowMs = next;
    },
  };
}

export { openPromises, type Promises };

/** Real engines in temporary folders. */
export interface Rig {
  readonly pool: Pool;
  readonly ledger: Ledger & Awards;
  readonly allotments: Allotments;
  /** A fresh journal folder a name; opening it again is a restart. */
  journal(name: string): Promise<Promises>;
  folder(name: string): string;
  stop(): Promise<void>;
}

export async function startRig(): Promise<Rig> {
  const server = await startTestPostgres();
  const root = mkdtempSync(path.join(tmpdir(), 'hongbao-rig-'));
  const pool = openPool({
    url: await server.createDatabase(),
    logger: quiet,
    connectionsMax: 12,
    applicationName: 'test',
  });
  await migrate(pool, [...ledgerMigrations, ...allotmentMigrations]);
  const retry = { tries: 5, sleepMs: (ms: number) => delay(ms), random: Math.random };
  const randomBelow = (below: bigint) => BigInt(Math.floor(Math.random() * Number(below)));
  return {
    pool,
    ledger: createLedger({ pool, retry }),
    allotments: createAllotments({ pool, randomBelow, retry }),
    journal: (name) => openPromises(path.join(root, name)),
    folder: (name) => path.join(root, name),
    async stop() {
      await pool.end();
      await server.stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Waits until something holds, looking every few milliseconds: for what no event tells of, on a busy machine too. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 30_000,
): Promise<void> {
  const lastMs = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > lastMs) throw new Error(`it did not come about within ${withinMs} ms: ${what}`);
    await delay(2);
  }
}

/** Double entry holds: everything sums to zero, and nobody has less than nothing (I6). */
export async function ledgerFaults(pool: Pool): Promise<string[]> {
  const { rows: sums } = await pool.query<{ total: bigint }>(
    'SELECT coalesce(sum(amount_fen), 0)::bigint AS total FROM ledger.posting',
  );
  const { rows: wrong } = await pool.query<{ act_id: bigint }>(
    'SELECT act_id FROM ledger.account WHERE balance_fen < 0 OR income_fen < 0',
  );
  const unbalanced = sums[0]!.total === 0n ? [] : [`the postings sum to ${sums[0]!.total}`];
  return [...unbalanced, ...wrong.map((row) => `account ${row.act_id} has less than nothing`)];
}
