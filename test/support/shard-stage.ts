import type { Pool } from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { bucketOf } from '../../src/vocabulary/bucket.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { anOrder } from './orders.ts';
import { quiet, startTestPostgres, type TestPostgres } from './postgres.ts';
import { shardRetry, startShards, type TestShards } from './shards.ts';

export const BUCKETS = 4;

/** The person whose bucket this is. */
export const personIn = (bucket: number, nth = 0): number => {
  for (let person = 1; ; person += 1)
    if (bucketOf(anOrder({ person }).actId, BUCKETS) === bucket) return person + nth * BUCKETS;
};
export const orderIn = (bucket: number, rain = 1, slice = 1): Order =>
  anOrder({ person: personIn(bucket), rain, slice });

/** A Postgres for the tests of a suite; what they open on it is closed with it. */
export function shardStage() {
  let server: TestPostgres;
  const opened: { stop(): Promise<unknown> }[] = [];
  const kept = <Item extends { stop(): Promise<unknown> }>(item: Item): Item => {
    opened.push(item);
    return item;
  };
  /** Closed before the databases are. */
  const closes = (ledger: { close(): Promise<void> }) => void opened.unshift({ stop: () => ledger.close() });

  beforeAll(async () => {
    server = await startTestPostgres();
  });
  afterAll(async () => {
    for (const one of opened) await one.stop();
    await server.stop();
  });

  return {
    closes,
    openShards: async (names = ['a', 'b']) => kept(await startShards([server], names, BUCKETS)),
    async openProcess(shards: TestShards) {
      const ledger = await shards.open();
      closes(ledger);
      return ledger;
    },
    moverOf: (shards: TestShards, onStep: (step: string) => unknown = () => {}) => ({
      map: shards.map,
      poolOf: shards.poolOf,
      retry: shardRetry,
      logger: quiet,
      accountsPerStep: 2,
      onStep: async (step: string) => void (await onStep(step)),
    }),
    createDatabase: () => server.createDatabase(),
    async freshPool(): Promise<{ pool: Pool; url: string }> {
      const url = await server.createDatabase();
      const pool = openPool({ url, logger: quiet, connectionsMax: 4, applicationName: 'test' });
      kept({ stop: () => pool.end() });
      return { pool, url };
    },
  };
}
