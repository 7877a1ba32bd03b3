import { Cluster } from 'ioredis';
import { PackedOrders, personBytes } from '../src/engines/redis/book-codec.ts';
import { bucketOf } from '../src/vocabulary/bucket.ts';
import type { Order } from '../src/vocabulary/order.ts';
import { anOrder } from '../test/support/orders.ts';
import { BUCKETS, connected, emptied, markAllWhole, redisBook, tagOf } from '../test/support/redis.ts';
import { type RedisCluster, startRedisCluster } from '../tools/services.ts';
import { median, twoPlaces } from './figures.ts';

export interface RedisFigures {
  /** Orders of distinct people recorded a second, in batches of 64, one function call each. */
  readonly bookRecordsPerSecond: number;
  /** The same bytes, one SET an order, pipelined in the same batches. */
  readonly barePipelinedSetsPerSecond: number;
  /** The same bytes in the same batches, one call of a function that does nothing but one SET an order. */
  readonly bareFunctionSetsPerSecond: number;
  /** Orders advanced to credited a second, in batches of 64. */
  readonly bookAdvancesPerSecond: number;
  /** Bytes of the servers' memory for an outstanding token of a person of his own. */
  readonly bookBytesPerPendingToken: number;
  /** Records over the faster of the two bare ways; the median of the rounds. */
  readonly bookOverBareRedis: number;
}

const BATCH_ORDERS = 64;
const BATCHES_UNDER_WAY = 32;
const ORDERS = 100_000;
const ROUNDS = 3;

const BARE = `#!lua name=bare
redis.register_function('bare_set', function(keys, args)
  for at = 1, #args, 2 do redis.call('SET', keys[1] .. args[at], args[at + 1]) end
  return #args / 2
end)`;

type Batch = readonly Order[];

/** Batches of one bucket each, as the sealing lines make them; every person once. */
function batches(): Batch[] {
  const byBucket = Array.from({ length: BUCKETS }, (): Order[] => []);
  for (let person = 0; person < ORDERS; person += 1) {
    const order = anOrder({ person, fen: 100 + (person % 900), slice: 1_000 + (person % 50), index: person });
    byBucket[bucketOf(order.actId, BUCKETS)]!.push(order);
  }
  const made: Batch[] = [];
  for (let at = 0; made.length < ORDERS / BATCH_ORDERS; at += BATCH_ORDERS)
    for (const orders of byBucket) if (at < orders.length) made.push(orders.slice(at, at + BATCH_ORDERS));
  return made;
}

/** The very bytes that the book keeps of each order, made beforehand: the bare ways encode nothing. */
interface BareBatch {
  readonly tag: Buffer;
  readonly people: readonly Buffer[];
  readonly values: readonly Buffer[];
}

const position = { sequence: 1_000_000, leafIndex: 7 };

function bareBatch(batch: Batch): BareBatch {
  const people = batch.map((order) => personBytes(order.actId));
  const values = batch.map((order, index) => {
    const packed = new PackedOrders(1);
    packed.addEntry(order, position);
    return Buffer.from(packed.bytes().subarray(1 + people[index]!.length));
  });
  return { tag: Buffer.from(tagOf(bucketOf(batch[0]!.actId, BUCKETS))), people, values };
}

/** Orders a second with so many batches under way at once. */
async function rate<Sent>(all: readonly Sent[], send: (batch: Sent) => Promise<unknown>): Promise<number> {
  const started = performance.now();
  let next = 0;
  const sender = async () => {
    while (next < all.length) {
      next += 1;
      await send(all[next - 1]!);
    }
  };
  await Promise.all(Array.from({ length: BATCHES_UNDER_WAY }, sender));
  return (ORDERS / (performance.now() - started)) * 1_000;
}

const best = (rates: readonly number[]): number => Math.round(Math.max(...rates));

/** Three primaries, no replicas, one client process: everything on the cores of this machine. */
export async function benchRedis(): Promise<RedisFigures> {
  const cluster = await startRedisCluster({ replicas: 0 });
  const client = await connected(cluster.url);
  const bare = new Cluster(cluster.urls.map(String), { redisOptions: { protocol: 2 } });
  try {
    await Promise.all((await cluster.primaries()).map((node) => node.call('FUNCTION', 'LOAD', BARE)));
    const book = redisBook(client);
    /** Nothing in it, and whole: as it is at night. */
    const empty = async () => {
      await emptied(cluster);
      await markAllWhole(book);
    };
    const all = batches();
    const allBare = all.map(bareBatch);

    const record = (batch: Batch) => book.record(batch.map((order) => ({ order, position })));
    const pipelinedSets = ({ tag, people, values }: BareBatch) => {
      const pipeline = bare.pipeline();
      for (const [index, person] of people.entries())
        pipeline.set(Buffer.concat([tag, person]), values[index]!);
      return pipeline.exec();
    };
    const functionSets = ({ tag, people, values }: BareBatch) =>
      bare.call('FCALL', 'bare_set', 1, tag, ...people.flatMap((person, index) => [person, values[index]!]));

    const rates = {
      record: [] as number[],
      advance: [] as number[],
      pipelined: [] as number[],
      fn: [] as number[],
    };
    let bytesPerToken = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      await empty();
      rates.pipelined.push(await rate(allBare, pipelinedSets));
      await empty();
      rates.fn.push(await rate(allBare, functionSets));
      await empty();
      const before = await usedMemory(cluster.nodes);
      rates.record.push(await rate(all, record));
      bytesPerToken = ((await usedMemory(cluster.nodes)) - before) / ORDERS;
      rates.advance.push(await rate(all, (batch) => book.advance(batch, 8)));
    }
    const ratios = rates.record.map(
      (own, round) => own / Math.max(rates.pipelined[round]!, rates.fn[round]!),
    );
    return {
      bookRecordsPerSecond: best(rates.record),
      barePipelinedSetsPerSecond: best(rates.pipelined),
      bareFunctionSetsPerSecond: best(rates.fn),
      bookAdvancesPerSecond: best(rates.advance),
      bookBytesPerPendingToken: Math.round(bytesPerToken),
      bookOverBareRedis: twoPlaces(median(ratios)),
    };
  } finally {
    bare.disconnect();
    await client.close();
    await cluster.stop();
  }
}

async function usedMemory(nodes: RedisCluster['nodes']): Promise<number> {
  const infos = await Promise.all(nodes.map((node) => node.call('INFO', 'memory')));
  return infos.reduce<number>(
    (sum, info) => sum + Number(/used_memory_dataset:(\d+)/.exec(String(info))?.[1]),
    0,
  );
}
