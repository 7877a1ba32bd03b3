import type { Pool } from 'pg';
import { migrate } from '../../engines/postgres/migrate.ts';
import { isAway } from '../../engines/postgres/retryable.ts';
import type { ShardAddress, ShardMap, ShardPlan } from '../../engines/postgres/shard-map/index.ts';
import { transaction } from '../../engines/postgres/transaction.ts';
import { ledgerMigrations } from '../one.ts';
import enrollSql from './sql/enroll.sql';
import strangersSql from './sql/strangers.sql';

export interface ShardKeeper {
  readonly map: ShardMap;
  /** A pool to a shard; the caller closes it. */
  readonly poolOf: (shard: ShardAddress) => Pool;
}

/**
 * Gives every shard of the plan its tables, and tells those that are new that they are one, and what they hold. Run at
 * each start; throws when a database is not the shard that the plan says it is, or belongs to another ledger. Returns the
 * names of those that are away: they were prepared before, and nobody else waits for them.
 */
export async function prepareShards({ map, poolOf }: ShardKeeper): Promise<string[]> {
  const plan = await map.read();
  if (!plan) throw notFounded();
  const away: string[] = [];
  for (const shard of plan.shards) {
    try {
      const pool = poolOf(shard);
      await migrate(pool, ledgerMigrations);
      await enroll(pool, shard, plan);
    } catch (error) {
      if (!shard.enrolled || !isAway(error)) throw turnedAway(shard, error);
      away.push(shard.name);
      continue;
    }
    if (!shard.enrolled) await map.enrolled(shard.name);
  }
  return away;
}

/**
 * Prepares a shard and then adds it to the plan, without buckets (`rebalance` brings them); or gives a shard that is
 * there its new address. May be called again. What can't be reached or is not empty never comes into the plan: fences
 * and tallies need every shard of it.
 */
export async function addShard({ map, poolOf }: ShardKeeper, shard: ShardAddress): Promise<void> {
  const plan = await map.read();
  if (!plan) throw notFounded();
  const enrolled = plan.shards.some((known) => known.name === shard.name && known.enrolled);
  const pool = poolOf(shard);
  await migrate(pool, ledgerMigrations);
  await enroll(pool, { ...shard, enrolled }, plan);
  await map.putShard(shard);
}

/** Of SQLSTATE: a user, a password, a database that the server does not know. */
const WRONG_ADDRESS = /^(28|3D)/;

/** Whoever changes a password looks for it in the environment, but a founded cluster goes by its plan. */
function turnedAway({ name }: ShardAddress, error: unknown): unknown {
  if (!(error instanceof Error) || !WRONG_ADDRESS.test((error as { code?: string }).code ?? '')) return error;
  return new Error(
    `Shard ${name} of the ledger refuses the address that the plan has for it: ${error.message}. HONGBAO_LEDGER only founds a cluster; give the plan the new address with: hongbao ledger add-shard ${name} postgres://…`,
    { cause: error },
  );
}

const notFounded = (): Error =>
  new Error('There is no plan of the ledger’s shards yet. Found the cluster first.');

/** Waits for writers that take this database for a ledger of its own; from then on they are refused. */
const ALONE_LOCK = 'SELECT pg_advisory_xact_lock(179415, -1)';

async function enroll(pool: Pool, shard: ShardPlan['shards'][number], plan: ShardPlan): Promise<void> {
  await transaction(pool, async (client) => {
    await client.query(ALONE_LOCK);
    const { rows } = await client.query<{ name: string; buckets: number }>(
      'SELECT name, buckets FROM ledger.shard',
    );
    if (rows[0]) return assertSame(rows[0], shard.name, plan.buckets);
    if (shard.enrolled)
      throw new Error(
        `The database of shard ${shard.name} does not know that it is one: it is another database, or its data is lost. Give it back before anything is credited.`,
      );
    const held = [...plan.placement].filter(([, name]) => name === shard.name).map(([bucket]) => bucket);
    const strangers = await client.query(strangersSql, [plan.buckets, held]);
    if (strangers.rows.length > 0)
      throw new Error(
        `The database of shard ${shard.name} holds people of buckets that the plan gives to others. Found the cluster on this database alone, then add shards.`,
      );
    await client.query(enrollSql, [shard.name, plan.buckets, held]);
  });
}

function assertSame(found: { name: string; buckets: number }, name: string, buckets: number): void {
  if (found.name === name && found.buckets === buckets) return;
  throw new Error(
    `This database is shard ${found.name} of ${found.buckets} buckets, and the plan takes it for ${name} of ${buckets}.`,
  );
}
