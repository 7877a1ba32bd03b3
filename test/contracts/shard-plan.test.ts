import { describe, expect, it } from 'vitest';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { createShardMap, shardMapMigrations } from '../../src/engines/postgres/shard-map/index.ts';
import {
  addShard,
  createLedger,
  ledgerMigrations,
  moveBucket,
  openShardedLedger,
  prepareShards,
  rebalance,
} from '../../src/ledger/index.ts';
import { isBucketMoved } from '../../src/ledger/partition.ts';
import { shardUrls } from '../../src/processes/cli/ledger-commands.ts';
import type { Config } from '../../src/processes/config.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import type { PhaseKey } from '../../src/vocabulary/ids.ts';
import { untilAnswered } from '../support/ledger-engines.ts';
import { anOrder } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { BUCKETS, orderIn, shardStage } from '../support/shard-stage.ts';
import { shardRetry } from '../support/shards.ts';

const PHASE = 3 as PhaseKey;

describe('the plan of the ledger’s shards', { timeout: 60_000 }, () => {
  const { openShards, moverOf, freshPool, createDatabase, closes } = shardStage();

  it('grow out of one ledger that was alone, with what it holds', async () => {
    const [first, second, control] = [await freshPool(), await freshPool(), await freshPool()];
    await migrate(first.pool, ledgerMigrations);
    const alone = createLedger({ pool: first.pool, retry: shardRetry });
    const orders = Array.from({ length: 12 }, (_, person) => anOrder({ person: person + 1 }));
    await alone.credit(orders);
    await migrate(control.pool, shardMapMigrations);
    const map = createShardMap(control.pool);
    const addresses = [
      { name: 'a', url: first.url },
      { name: 'b', url: second.url },
    ];
    const poolOf = ({ name }: { name: string }) => (name === 'a' ? first.pool : second.pool);
    await map.found(BUCKETS, [addresses[0]!]);
    await prepareShards({ map, poolOf });
    await expect(alone.credit([anOrder({ person: 99 })])).rejects.toSatisfy(isBucketMoved);
    await addShard({ map, poolOf }, addresses[1]!);
    expect(await rebalance({ map, poolOf, retry: shardRetry, logger: quiet })).toBe(2);
    const ledger = await openShardedLedger({
      readPlan: map.read,
      openPool: ({ url }) => openPool({ url, logger: quiet, connectionsMax: 2, applicationName: 'test' }),
      retry: shardRetry,
      logger: quiet,
      monotonicMs: () => performance.now(),
    });
    expect(await ledger.credit(orders)).toEqual({ credited: 0, alreadyCredited: 12, conflicting: [] });
    await ledger.close();
    const counts = await Promise.all(
      [first, second].map(({ pool }) => pool.query('SELECT 1 FROM ledger.account WHERE act_id > 0')),
    );
    expect(counts.map(({ rows }) => rows.length)).toEqual([6, 6]);
  });

  it('have no plan before control was there, and then one that the auditor goes by', async () => {
    const { pool, url } = await freshPool();
    expect(await createShardMap(pool).read()).toBeUndefined();
    const config = { controlDatabaseUrl: url, ledgerUrls: ['postgres://first'], logLevel: 'silent' } as const;
    expect(await shardUrls(config as unknown as Config)).toEqual(['postgres://first']);
    await migrate(pool, shardMapMigrations);
    const map = createShardMap(pool);
    await map.found(BUCKETS, [{ name: 's1', url: 'postgres://first' }]);
    await map.putShard({ name: 's2', url: 'postgres://second' });
    expect(await shardUrls(config as unknown as Config)).toEqual(['postgres://first', 'postgres://second']);
  });

  it('are founded once, and refuse another count, a foreign database and one that lost its data', async () => {
    const shards = await openShards();
    await expect(shards.map.found(8, shards.addresses)).rejects.toThrow('founded with 4 buckets');
    expect((await shards.map.found(BUCKETS, [])).shards.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(await prepareShards(shards)).toEqual([]);
    const aGoneOne = () =>
      openPool({
        url: 'postgres://nobody@127.0.0.1:1/nothing',
        logger: quiet,
        connectionsMax: 1,
        applicationName: 'test',
      });
    const [nobody, gone] = [aGoneOne(), aGoneOne()];
    const poolOf = (shard: { name: string }) => (shard.name === 'b' ? nobody : shards.poolOf(shard as never));
    expect(await prepareShards({ ...shards, poolOf })).toEqual(['b']);
    await nobody.end();
    const renamed = Object.assign(new URL(await createDatabase()), { pathname: '/renamed' }).href;
    const lost = openPool({ url: renamed, logger: quiet, connectionsMax: 1, applicationName: 'test' });
    await expect(prepareShards({ ...shards, poolOf: () => lost })).rejects.toThrow(
      /Shard a .*"renamed" does not exist.*ledger add-shard a/,
    );
    await lost.end();
    const swapped = {
      ...shards,
      poolOf: ({ name }: { name: string }) => shards.pools.get(name === 'a' ? 'b' : 'a')!,
    };
    await expect(prepareShards(swapped)).rejects.toThrow('the plan takes it for a');
    const { pool: empty } = await freshPool();
    await expect(prepareShards({ ...shards, poolOf: () => empty })).rejects.toThrow(
      'does not know that it is one',
    );
    const { pool: foreign, url } = await freshPool();
    await migrate(foreign, ledgerMigrations);
    await createLedger({ pool: foreign, retry: shardRetry }).credit([orderIn(0)]);
    const keeper = { ...shards, poolOf: ({ name }: { name: string }) => shards.pools.get(name) ?? foreign };
    await expect(addShard(keeper, { name: 'x', url })).rejects.toThrow('holds people of buckets');
    await expect(addShard({ ...shards, poolOf: () => gone }, { name: 'y', url })).rejects.toThrow();
    await gone.end();
    expect((await shards.map.read())!.shards.map(({ name }) => name)).toEqual(['a', 'b']);
  });

  it('take a new address from whoever was asking again at the old one', async () => {
    const shards = await openShards();
    const good = shards.addresses.find(({ name }) => name === 'a')!;
    const { port } = new URL(good.url);
    await shards.map.putShard({ name: 'a', url: good.url.replace(`:${port}/`, ':1/') });
    let pauses = 0;
    const ledger = await openShardedLedger({
      readPlan: shards.map.read,
      openPool: ({ url }) => openPool({ url, logger: quiet, connectionsMax: 2, applicationName: 'test' }),
      retry: {
        ...shardRetry,
        // Between two tries an operator gives the shard its new address, and this process hears of it.
        async sleepMs() {
          pauses += 1;
          if (pauses > 1) return;
          await shards.map.putShard(good);
          await ledger.unsettled(1);
        },
      },
      logger: quiet,
      monotonicMs: () => performance.now(),
      planAgeMsMax: 0,
    });
    closes(ledger);
    const bucket = [...(await shards.map.read())!.placement].find(([, name]) => name === 'a')![0];
    expect(await untilAnswered(() => ledger.credit([orderIn(bucket)]))).toMatchObject({ credited: 1 });
    expect(pauses).toBeGreaterThan(0);
  });

  it('go on by what they say themselves when control is gone', async () => {
    const shards = await openShards();
    let gone = false;
    const ledger = await openShardedLedger({
      readPlan: () => {
        if (gone) throw new RetryableFault('control-unavailable', 'control is gone', 100);
        return shards.map.read();
      },
      openPool: ({ url }) => openPool({ url, logger: quiet, connectionsMax: 2, applicationName: 'test' }),
      retry: shardRetry,
      logger: quiet,
      monotonicMs: () => performance.now(),
    });
    await ledger.credit([orderIn(0)]);
    gone = true;
    await moveBucket(moverOf(shards), 0, 'b');
    expect((await ledger.credit([orderIn(0), orderIn(0, 2)])).credited).toBe(1);
    // A count over all shards needs to know that they are all.
    await expect(ledger.sliceTally(PHASE, orderIn(0).unit.sliceId)).rejects.toThrow('control is gone');
    await ledger.close();
  });
});
