import { randomInt } from 'node:crypto';
import type { RestorableBook } from '../../src/engines/ports.ts';
import { connectRedis, type RedisClient, type RedisClientOptions } from '../../src/engines/redis/client.ts';
import { bucketTag, createRedisTokenBook } from '../../src/engines/redis/token-book.ts';
import type { TurnTimes } from '../../src/engines/redis/turns.ts';
import { type RedisCluster, startRedisCluster } from '../../tools/services.ts';
import { quiet } from './postgres.ts';

/** As many as a cluster is made with by default; a test finds them all on three primaries. */
export const BUCKETS = 16;
const SPACE = 'test';
const PATIENT_MS = 20_000;
const WINS_TTL_MS = 3_600_000;

/** The hash tag of a bucket's keys. */
export const tagOf = (bucket: number): string => bucketTag(SPACE, bucket);

export const redisBook = (
  client: RedisClient,
  winsTtlMs: () => number = () => WINS_TTL_MS,
  space = SPACE,
  turns: TurnTimes = {},
) => createRedisTokenBook({ client, space, buckets: BUCKETS, winsTtlMs, random: chance, ...turns });

const chance = () => randomInt(1_000) / 1_000;

/** As its buckets' owners would, once they have filled it. */
export const markAllWhole = (book: RestorableBook, buckets = BUCKETS): Promise<unknown> =>
  Promise.all(
    Array.from({ length: buckets }, async (_, bucket) =>
      book.markWhole(bucket, (await book.wholeness(bucket)).state),
    ),
  );

/** Connected, and its functions loaded. Patient unless told otherwise: the machine may be busy. */
export async function connected(
  url: string,
  options: Partial<RedisClientOptions> = {},
): Promise<RedisClient> {
  const client = connectRedis({
    url,
    logger: quiet,
    random: chance,
    callTimeoutMs: PATIENT_MS,
    ...options,
  });
  await client.ready;
  return client;
}

/** Three primaries. */
export const startTestRedis = (replicas = 0): Promise<RedisCluster> =>
  startRedisCluster({ replicas, nodeTimeoutMs: 1_000 });

/** Makes every primary forget everything but its functions. */
export async function emptied(cluster: RedisCluster): Promise<void> {
  await Promise.all((await cluster.primaries()).map((node) => node.call('FLUSHALL')));
}

/** Waits for something that comes about by itself, without saying when. */
export async function eventually<Result>(look: () => Promise<Result>, withinMs = 60_000): Promise<Result> {
  const lastMs = performance.now() + withinMs;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > lastMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}
