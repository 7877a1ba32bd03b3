import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { openPool } from '../../engines/postgres/pool.ts';
import { createShardMap, type ShardAddress } from '../../engines/postgres/shard-map/index.ts';
import { addShard, rebalance } from '../../ledger/index.ts';
import { createLogger } from '../../telemetry/logger.ts';
import type { Config } from '../config.ts';
import { readDatabases } from '../config-cluster.ts';
import { random } from '../randomness.ts';
import { CliFailure, EXIT, type Output, print } from './output.ts';

/** Where buckets lie, and which are on their way. */
export async function ledgerShards(config: Config, output: Output): Promise<void> {
  await withKeeper(config, async ({ map }) => {
    const plan = await map.read();
    if (!plan) throw notFounded();
    const shards = plan.shards.map(({ name }) => ({
      name,
      buckets: [...plan.placement].flatMap(([bucket, shard]) => (shard === name ? [bucket] : [])),
    }));
    const moving = plan.moves.map(({ bucket, source, target }) => ({ bucket, source, target }));
    print(
      output,
      { buckets: plan.buckets, shards, moving },
      shards.map((shard) => `${shard.name.padEnd(12)} buckets ${shard.buckets.join(' ')}`).join('\n'),
    );
  });
}

/**
 * Adds a shard and brings it its part of the buckets while everything goes on. Broken off, it is called again: what
 * was begun is finished.
 */
export async function ledgerAddShard(
  config: Config,
  name: string,
  url: string,
  output: Output,
): Promise<void> {
  if (!/^[A-Za-z0-9-]{1,32}$/.test(name))
    throw usage(`"${name}" is no name of a shard. Write letters, digits and hyphens, e.g. s3.`);
  readDatabases('the address', url, (_, message) => {
    throw usage(message);
  });
  await withKeeper(config, async (keeper) => {
    if (!(await keeper.map.read())) throw notFounded();
    await addShard(keeper, { name, url });
    const moved = await rebalance(keeper);
    print(output, { shard: name, moved }, `Shard ${name} is in the plan; ${moved} buckets were moved.`);
  });
}

/** Where the shards are now: by the plan, which knows of those that were added or moved since it was founded. */
export async function shardUrls(config: Config): Promise<readonly string[]> {
  let urls = config.ledgerUrls;
  await withKeeper(config, async ({ map }) => {
    urls = (await map.read())?.shards.map(({ url }) => url) ?? urls;
  });
  return urls;
}

type Keeper = Parameters<typeof rebalance>[0];

async function withKeeper(config: Config, act: (keeper: Keeper) => Promise<void>): Promise<void> {
  const controlUrl = config.controlDatabaseUrl ?? config.ledgerUrls[0];
  if (controlUrl === undefined)
    throw usage('Shards need databases of their own. Set HONGBAO_CONTROL to control’s database.');
  const logger = createLogger(config.logLevel);
  const pools = new Map<string, Pool>();
  const poolOf = ({ url }: Pick<ShardAddress, 'url'>): Pool => {
    const pool =
      pools.get(url) ?? openPool({ url, logger, connectionsMax: 4, applicationName: 'hongbao-mover' });
    pools.set(url, pool);
    return pool;
  };
  try {
    await act({
      map: createShardMap(poolOf({ url: controlUrl })),
      poolOf,
      retry: { tries: 20, sleepMs: (ms) => delay(ms), random },
      logger,
    });
  } finally {
    await Promise.all([...pools.values()].map((pool) => pool.end()));
  }
}

const usage = (message: string): CliFailure => new CliFailure(EXIT.usage, message, { code: 'usage' });
const notFounded = (): CliFailure =>
  new CliFailure(EXIT.refused, 'Control has not founded the cluster yet. Start a control process first.', {
    code: 'not-founded',
  });
