import type { Pool } from 'pg';
import type { Awards, Ledger } from '../../src/engines/ports.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { createLedger, ledgerMigrations } from '../../src/ledger/index.ts';
import type { TransferSteps } from '../../src/ledger/transfers.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { postgresKinds, quiet, type TestPostgres } from './postgres.ts';
import { startShards } from './shards.ts';

const retry = { tries: 8, sleepMs: () => new Promise<void>(setImmediate), random: Math.random };

/** An engine of the ledger's ports, and the databases in which its rows may be looked at. */
export interface LedgerEngine {
  readonly ledger: Ledger & Awards & TransferSteps;
  readonly pools: readonly Pool[];
  stop(): Promise<void>;
}

async function startAlone(server: TestPostgres): Promise<LedgerEngine> {
  const pool = openPool({
    url: await server.createDatabase(),
    logger: quiet,
    connectionsMax: 10,
    applicationName: 'test',
  });
  await migrate(pool, ledgerMigrations);
  const ledger = createLedger({ pool, retry });
  return { ledger, pools: [pool], stop: () => ledger.close() };
}

async function startSharded(server: TestPostgres): Promise<LedgerEngine> {
  const shards = await startShards([server], ['a', 'b', 'c'], 6);
  const ledger = await shards.open();
  return {
    ledger,
    pools: [...shards.pools.values()],
    async stop() {
      await ledger.close();
      await shards.stop();
    },
  };
}

export const ledgerEngines = () => [
  ...postgresKinds().map((kind) => ({ name: `${kind} Postgres`, kind, start: startAlone })),
  { name: 'three shards', kind: 'embedded' as const, start: startSharded },
];

/** Asks until there is an answer, as every caller of a port may: how often that takes depends on the machine. */
export async function untilAnswered<Result>(act: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof RetryableFault)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

const CUTS_MAX = 100;

/** Cuts connections at work, some ms apart, until the signal or a hundred are cut: so it comes to an end on any machine. */
export async function cutConnections(
  { pools }: LedgerEngine,
  options: { readonly everyMs: number; readonly random: () => number; readonly signal: AbortSignal },
): Promise<void> {
  for (let cuts = 0; cuts < CUTS_MAX && !options.signal.aborted; cuts += 1) {
    await pools[Math.floor(options.random() * pools.length)]!.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE pid <> pg_backend_pid() AND datname = current_database() AND state = 'active' ORDER BY random() LIMIT 1`,
    ).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, options.everyMs));
  }
}
