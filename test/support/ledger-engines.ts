import type { Pool } from 'pg';
import type { Awards, Ledger } from '../../src/engines/ports.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { createLedger, ledgerMigrations } from '../../src/ledger/index.ts';
import type { TransferSteps } from '../../src/ledger/transfers.ts';
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
