import path from 'node:path';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { allotmentMigrations } from '../../engines/postgres/allotments/index.ts';
import { controlMigrations } from '../../engines/postgres/control-store/index.ts';
import { migrate } from '../../engines/postgres/migrate.ts';
import { openPool } from '../../engines/postgres/pool.ts';
import { reissueMigrations } from '../../engines/postgres/reissue/index.ts';
import type { RetryOptions } from '../../engines/postgres/retryable.ts';
import {
  createShardMap,
  type ShardAddress,
  type ShardPlan,
  shardMapMigrations,
} from '../../engines/postgres/shard-map/index.ts';
import { finishMoves, openShardedLedger, prepareShards, type ShardedLedger } from '../../ledger/index.ts';
import type { Config } from '../config.ts';
import type { ClusterConfig } from '../config-cluster.ts';
import { rememberedPlan } from './plan-file.ts';
import { untilItIs } from './until.ts';

const CONNECTIONS_A_SHARD = 8;
const STATEMENT_MS_MAX = 6_000;

export interface ClusterLedgerOptions {
  readonly config: Config;
  readonly cluster: ClusterConfig;
  readonly controlPool: Pool;
  readonly retry: RetryOptions;
  readonly logger: Logger;
}

/** The shards by control's plan. Control founds it; everybody else waits until it is there. */
export async function openClusterLedger(
  options: ClusterLedgerOptions,
): Promise<{ readonly ledger: ShardedLedger; readonly shards: number }> {
  const { config, cluster, controlPool, logger } = options;
  const map = createShardMap(controlPool);
  const readPlan = rememberedPlan(path.join(config.dataFolder, 'shard-plan.json'), map.read);
  const settings = {
    logger,
    connectionsMax: CONNECTIONS_A_SHARD,
    applicationName: `hongbao-${config.roles.join('-')}`,
  };
  // Tables may take their time to be made.
  const poolToPrepare = ({ url }: ShardAddress): Pool => openPool({ ...settings, url });
  if (config.roles.includes('control'))
    await untilItIs('control’s database', logger, () => found(options, map, poolToPrepare), mayCome);
  const plan = await untilItIs<ShardPlan>(
    'the plan of the ledger’s shards',
    logger,
    async () => {
      const standing = await readPlan();
      if (!standing || standing.shards.some((shard) => !shard.enrolled))
        throw new Error('control has not founded the cluster yet');
      return standing;
    },
    () => true,
  );
  if (plan.buckets !== cluster.buckets)
    throw new Error(
      `This cluster was founded with ${plan.buckets} buckets, and HONGBAO_BUCKETS says ${cluster.buckets}. Set it to ${plan.buckets}.`,
    );
  if (config.roles.includes('control')) void finishBrokenMoves(options, map, poolToPrepare);
  const ledger = await openShardedLedger({
    readPlan,
    // A shard that is frozen is given up after this, once; then its gate is shut.
    openPool: ({ url }) => openPool({ ...settings, url, statementMsMax: STATEMENT_MS_MAX }),
    retry: options.retry,
    logger,
    monotonicMs: () => performance.now(),
  });
  return { ledger, shards: plan.shards.length };
}

async function found(
  { config, cluster, controlPool, logger }: ClusterLedgerOptions,
  map: ReturnType<typeof createShardMap>,
  openShardPool: (shard: ShardAddress) => Pool,
): Promise<void> {
  await migrate(controlPool, [
    ...controlMigrations,
    ...allotmentMigrations,
    ...shardMapMigrations,
    ...reissueMigrations,
  ]);
  await map.found(
    cluster.buckets,
    config.ledgerUrls.map((url, at) => ({ name: `s${at + 1}`, url })),
  );
  const { poolOf, close } = shardPools(openShardPool);
  try {
    const away = await prepareShards({ map, poolOf });
    if (away.length > 0)
      logger.warn({ shards: away }, 'shards of the ledger are away; their people wait, all others go on');
  } finally {
    await close();
  }
}

/** One pool a shard, opened when it is first asked for. */
function shardPools(open: (shard: ShardAddress) => Pool) {
  const pools = new Map<string, Pool>();
  const poolOf = (shard: ShardAddress): Pool => {
    const pool = pools.get(shard.name) ?? open(shard);
    pools.set(shard.name, pool);
    return pool;
  };
  return {
    poolOf,
    close: async () => void (await Promise.all([...pools.values()].map((pool) => pool.end()))),
  };
}

/** A mover that died in the moment of a hand-over left a bucket that nobody owns: beside everything else, until done. */
async function finishBrokenMoves(
  { retry, logger }: ClusterLedgerOptions,
  map: ReturnType<typeof createShardMap>,
  openShardPool: (shard: ShardAddress) => Pool,
): Promise<void> {
  const { poolOf, close } = shardPools(openShardPool);
  try {
    const finished = await finishMoves({ map, poolOf, retry, logger });
    if (finished > 0)
      logger.warn({ buckets: finished }, 'moves of buckets that were broken off are finished');
  } catch (error) {
    logger.error(
      { reason: (error as Error).message },
      'a move of a bucket that was broken off could not be finished: hongbao ledger add-shard does it again',
    );
  } finally {
    await close();
  }
}

/** What the network or a starting server may be about; a wrong plan is said at once. */
const mayCome = (error: unknown): boolean => {
  const { code, name } = error as { code?: string; name?: string };
  return name === 'RetryableFault' || /^(E[A-Z]+|57P0\d|08\w{3}|53\w{3})$/.test(code ?? '');
};
