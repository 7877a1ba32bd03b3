import type { Pool, PoolClient } from 'pg';
import type { Migration } from '../migrate.ts';
import { asFault } from '../retryable.ts';
import { transaction } from '../transaction.ts';
import schema from './0001-shard-map.sql';
import clusterId from './0002-cluster-id.sql';

export const shardMapMigrations: readonly Migration[] = [
  { name: 'shard-map/0001-shard-map', sql: schema },
  { name: 'shard-map/0002-cluster-id', sql: clusterId },
];

export interface ShardAddress {
  readonly name: string;
  readonly url: string;
}

/** Where everything is meant to lie. */
export interface ShardPlan {
  /** Fixed for the cluster's life. */
  readonly buckets: number;
  /** In the order in which they joined. */
  readonly shards: readonly (ShardAddress & { readonly enrolled: boolean })[];
  /** Bucket → name of the shard. */
  readonly placement: ReadonlyMap<number, string>;
  /** Broken off or under way; to be finished. */
  readonly moves: readonly BucketMove[];
}

/** A bucket on its way. The epoch is larger than that of every move before it. */
export interface BucketMove {
  readonly bucket: number;
  readonly source: string;
  readonly target: string;
  readonly epoch: bigint;
}

/** The plan of the ledger's shards, in control's database. Every call may be repeated. */
export interface ShardMap {
  /** Of this cluster, and of no other one, for its life. */
  clusterId(): Promise<string>;
  /** Undefined before the cluster is founded. */
  read(): Promise<ShardPlan | undefined>;
  /**
   * Founds the cluster: its buckets in turn over these shards. Once it is founded, the plan stays as it is. Throws
   * when it was founded with another count of buckets.
   */
  found(buckets: number, shards: readonly ShardAddress[]): Promise<ShardPlan>;
  /** A new shard, prepared and without buckets; or a new address for one that is there. */
  putShard(shard: ShardAddress): Promise<void>;
  /** The shard's own database knows now that it is one. */
  enrolled(name: string): Promise<void>;
  /** Begins a move, or gives the one of this bucket that is not finished. Undefined when it lies there already. */
  beginMove(bucket: number, target: string): Promise<BucketMove | undefined>;
  /** The target owns the bucket now. */
  placed(move: BucketMove): Promise<void>;
  /** Nothing of the bucket is left on the source. */
  finishMove(move: BucketMove): Promise<void>;
}

const BUCKETS_MAX = 4_096;
const UNDEFINED_TABLE = '42P01';
const MOVE_COLUMNS = 'bucket, source, target, epoch';

export function createShardMap(pool: Pool): ShardMap {
  const inTurn = async <Result>(act: (client: PoolClient) => Promise<Result>): Promise<Result> => {
    try {
      return await transaction(pool, async (client) => {
        await client.query("SELECT pg_advisory_xact_lock(hashtextextended('shard-map', 0))");
        return act(client);
      });
    } catch (error) {
      throw asFault(error);
    }
  };

  return {
    async clusterId() {
      try {
        const { rows } = await pool.query<{ id: string }>('SELECT id::text FROM shard_map.cluster');
        return rows[0]!.id;
      } catch (error) {
        throw asFault(error);
      }
    },
    async read() {
      try {
        return await transaction(pool, async (client) => {
          await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
          return readPlan(client);
        });
      } catch (error) {
        // Control has not been here yet, not even for the tables.
        if ((error as { code?: string }).code === UNDEFINED_TABLE) return undefined;
        throw asFault(error);
      }
    },
    found: (buckets, shards) =>
      inTurn(async (client) => {
        const plan = await readPlan(client);
        if (plan) return founded(plan, buckets);
        if (!Number.isInteger(buckets) || buckets < 1 || buckets > BUCKETS_MAX)
          throw new RangeError(`a cluster has 1 to ${BUCKETS_MAX} buckets, not ${buckets}`);
        if (shards.length === 0) throw new RangeError('a cluster has at least one shard');
        for (const { name, url } of shards)
          await client.query('INSERT INTO shard_map.shard (name, url) VALUES ($1, $2)', [name, url]);
        await client.query(
          `INSERT INTO shard_map.bucket (bucket, shard)
           SELECT b, ($2::text[])[1 + b % cardinality($2::text[])] FROM generate_series(0, $1::int4 - 1) AS b`,
          [buckets, shards.map((shard) => shard.name)],
        );
        return (await readPlan(client))!;
      }),
    putShard: ({ name, url }) =>
      inTurn(async (client) => {
        await client.query(
          'INSERT INTO shard_map.shard (name, url, enrolled) VALUES ($1, $2, true) ON CONFLICT (name) DO UPDATE SET url = $2',
          [name, url],
        );
      }),
    enrolled: (name) =>
      inTurn(async (client) => {
        await client.query('UPDATE shard_map.shard SET enrolled = true WHERE name = $1', [name]);
      }),
    beginMove: (bucket, target) => inTurn((client) => beginMove(client, bucket, target)),
    placed: ({ bucket, target, epoch }) =>
      inTurn(async (client) => {
        await client.query(
          `UPDATE shard_map.bucket SET shard = $2
           WHERE bucket = $1 AND EXISTS (SELECT 1 FROM shard_map.move WHERE bucket = $1 AND epoch = $3)`,
          [bucket, target, epoch],
        );
      }),
    finishMove: ({ bucket, epoch }) =>
      inTurn(async (client) => {
        await client.query('DELETE FROM shard_map.move WHERE bucket = $1 AND epoch = $2', [bucket, epoch]);
      }),
  };
}

function founded(plan: ShardPlan, buckets: number): ShardPlan {
  if (plan.buckets === buckets) return plan;
  throw new Error(
    `This cluster was founded with ${plan.buckets} buckets and is asked for with ${buckets}. The count can't change: people's accounts, the log and the book lie by it.`,
  );
}

async function beginMove(
  client: PoolClient,
  bucket: number,
  target: string,
): Promise<BucketMove | undefined> {
  const begun = await client.query<BucketMove>(
    `SELECT ${MOVE_COLUMNS} FROM shard_map.move WHERE bucket = $1`,
    [bucket],
  );
  if (begun.rows[0]) {
    if (begun.rows[0].target === target) return begun.rows[0];
    throw new Error(
      `bucket ${bucket} is on its way to shard ${begun.rows[0].target}: finish that move before it goes to ${target}`,
    );
  }
  const { rows } = await client.query<BucketMove>(
    `INSERT INTO shard_map.move (bucket, source, target)
     SELECT bucket, shard, $2 FROM shard_map.bucket WHERE bucket = $1 AND shard <> $2 RETURNING ${MOVE_COLUMNS}`,
    [bucket, target],
  );
  return rows[0];
}

async function readPlan(client: PoolClient): Promise<ShardPlan | undefined> {
  const buckets = await client.query<{ bucket: number; shard: string }>(
    'SELECT bucket, shard FROM shard_map.bucket ORDER BY bucket',
  );
  if (buckets.rows.length === 0) return undefined;
  const shards = await client.query<ShardPlan['shards'][number]>(
    'SELECT name, url, enrolled FROM shard_map.shard ORDER BY place',
  );
  const moves = await client.query<BucketMove>(`SELECT ${MOVE_COLUMNS} FROM shard_map.move ORDER BY bucket`);
  return {
    buckets: buckets.rows.length,
    shards: shards.rows,
    placement: new Map(buckets.rows.map((row) => [row.bucket, row.shard])),
    moves: moves.rows,
  };
}
