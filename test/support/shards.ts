import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import {
  createShardMap,
  type ShardAddress,
  type ShardMap,
  shardMapMigrations,
} from '../../src/engines/postgres/shard-map/index.ts';
import { addShard, openShardedLedger, prepareShards, type ShardedLedger } from '../../src/ledger/index.ts';
import { quiet, type TestPostgres } from './postgres.ts';

type TestServer = Pick<TestPostgres, 'createDatabase'>;

/** Several databases that play the shards, and one that plays control. */
export interface TestShards {
  readonly map: ShardMap;
  readonly buckets: number;
  /** One pool a shard, for looking in. */
  readonly pools: ReadonlyMap<string, Pool>;
  readonly addresses: readonly ShardAddress[];
  poolOf(shard: ShardAddress): Pool;
  /** A process with pools and a map of its own. */
  open(options?: { shutMs?: number; statementMs?: number; callsMax?: number }): Promise<ShardedLedger>;
  add(name: string, server?: TestServer): Promise<void>;
  stop(): Promise<void>;
}

export const shardRetry = { tries: 6, sleepMs: (ms: number) => delay(Math.min(ms, 50)), random: Math.random };

export async function startShards(
  servers: readonly TestServer[],
  names: readonly string[],
  buckets: number,
): Promise<TestShards> {
  const pools = new Map<string, Pool>();
  const addresses: ShardAddress[] = [];
  const poolFor = (url: string, applicationName: string, statementMsMax = 30_000) =>
    openPool({ url, logger: quiet, connectionsMax: 6, applicationName, statementMsMax });
  const control = poolFor(await servers[0]!.createDatabase(), 'control');
  await migrate(control, shardMapMigrations);
  const map = createShardMap(control);
  const place = async (name: string, server: TestServer): Promise<ShardAddress> => {
    const address = { name, url: await server.createDatabase() };
    addresses.push(address);
    pools.set(name, poolFor(address.url, 'looking-in'));
    return address;
  };
  for (const [at, name] of names.entries()) await place(name, servers[at % servers.length]!);
  await map.found(buckets, addresses);
  const poolOf = ({ name }: ShardAddress) => pools.get(name)!;
  await prepareShards({ map, poolOf });
  return {
    map,
    buckets,
    pools,
    addresses,
    poolOf,
    open: (options) =>
      openShardedLedger({
        readPlan: map.read,
        openPool: (shard) => poolFor(shard.url, 'process', options?.statementMs),
        retry: shardRetry,
        logger: quiet,
        monotonicMs: () => performance.now(),
        ...(options?.shutMs !== undefined && { shutMs: options.shutMs }),
        ...(options?.callsMax !== undefined && { callsMax: options.callsMax }),
      }),
    add: async (name, server = servers[0]!) => addShard({ map, poolOf }, await place(name, server)),
    stop: async () => void (await Promise.all([control, ...pools.values()].map((pool) => pool.end()))),
  };
}

/** What a database sums to, and the accounts that have less than nothing. */
export async function booksOf(pool: Pool): Promise<{ total: bigint; wrong: unknown[] }> {
  const sum = await pool.query<{ total: bigint }>(
    'SELECT coalesce(sum(amount_fen), 0)::bigint AS total FROM ledger.posting',
  );
  const wrong = await pool.query(
    'SELECT act_id, phase_key, purse FROM ledger.account WHERE balance_fen < 0 OR income_fen < 0',
  );
  return { total: sum.rows[0]!.total, wrong: wrong.rows };
}
