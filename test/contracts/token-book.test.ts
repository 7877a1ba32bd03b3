import { createTokenBook } from '../../src/engines/embedded/token-book.ts';
import type { RedisClient } from '../../src/engines/redis/client.ts';
import type { RedisCluster } from '../../tools/services.ts';
import { connected, emptied, markAllWhole, redisBook, startTestRedis } from '../support/redis.ts';
import { tokenBookContract } from './token-book.contract.ts';

tokenBookContract({ name: 'the book in memory', make: async () => createTokenBook(), randomMoves: 20_000 });

let cluster: RedisCluster;
let client: RedisClient;
tokenBookContract({
  name: 'the book on Redis Cluster',
  randomMoves: 5_000,
  async start() {
    cluster = await startTestRedis();
    client = await connected(cluster.url);
  },
  async make() {
    await emptied(cluster);
    const book = redisBook(client, undefined, undefined, { turnMs: 120_000, waitMs: 200 });
    await markAllWhole(book);
    return book;
  },
  beside: (turnMs) => redisBook(client, undefined, undefined, { turnMs, promiseMs: 100, waitMs: 60_000 }),
  async stop() {
    await client?.close();
    await cluster?.stop();
  },
});
