import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { anOrder } from '../../../test/support/orders.ts';
import {
  BUCKETS,
  connected,
  emptied,
  eventually,
  redisBook,
  startTestRedis,
  tagOf,
} from '../../../test/support/redis.ts';
import { type RedisCluster, type RedisNode, startRedisCluster } from '../../../tools/services.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { bucketOf } from '../../vocabulary/bucket.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';
import { connectRedis, type RedisClient } from './client.ts';
import { LIBRARY } from './functions/index.ts';

const order = anOrder({ person: 5 });
const tag = tagOf(bucketOf(order.actId, BUCKETS));
const entry = { order, position: { sequence: 1, leafIndex: 0 } };

describe('the client of a Redis Cluster', () => {
  let cluster: RedisCluster;
  let client: RedisClient;
  beforeAll(async () => {
    cluster = await startTestRedis();
    client = await connected(cluster.url);
  });
  beforeEach(() => emptied(cluster));
  afterAll(async () => {
    await client?.close();
    await cluster?.stop();
  });

  it('loads its functions on every primary when it connects, named after their content', async () => {
    for (const node of await cluster.primaries())
      expect(JSON.stringify(await node.call('FUNCTION', 'LIST', 'LIBRARYNAME', LIBRARY))).toContain(
        `${LIBRARY}_record`,
      );
  });

  it('loads them again where they have gone, while many calls are under way', async () => {
    const book = redisBook(client);
    for (const node of await cluster.primaries()) await node.call('FUNCTION', 'FLUSH', 'SYNC');
    const orders = Array.from({ length: 200 }, (_, person) => anOrder({ person }));
    await Promise.all(orders.map((one) => book.record([{ ...entry, order: one }])));
    expect(await book.outstandingCount()).toBe(200);
  });

  it('says once why no node can be used, however often it tries', async () => {
    const single = await startRedisCluster({ primaries: 1, replicas: 0 });
    const [node] = single.nodes;
    // One that was never told its own address names none.
    await node!.call('CONFIG', 'SET', 'cluster-announce-ip', '');
    const said: string[] = [];
    const logger = pino({ level: 'info' }, { write: (line: string) => said.push(line) });
    const unnamed = connectRedis({ url: single.url, logger, random: Math.random });
    try {
      await eventually(async () => expect(said).toHaveLength(1));
      expect(said[0]).toMatch(/announced.*no node of the Redis Cluster can be used/);
      await delay(500);
      expect(said).toHaveLength(1);
      await node!.call('CONFIG', 'SET', 'cluster-announce-ip', '127.0.0.1');
      await eventually(async () => expect(said[1]).toContain('Redis is back'));
    } finally {
      await unnamed.close();
      await single.stop();
    }
  });

  it('says that its password is refused', async () => {
    const single = await startRedisCluster({ primaries: 1, replicas: 0 });
    await single.nodes[0]!.call('CONFIG', 'SET', 'requirepass', 'right');
    const said: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => said.push(line) });
    const url = single.url.replace('redis://', 'redis://:mistaken@');
    const stranger = connectRedis({ url, logger, random: Math.random });
    await eventually(async () => expect(said[0]).toContain('WRONGPASS'));
    expect(said.join()).not.toContain('mistaken');
    await stranger.close();
    await single.stop();
  });

  it('works beside the library of another release', async () => {
    for (const node of await cluster.primaries())
      await node.call(
        'FUNCTION',
        'LOAD',
        "#!lua name=hongbao_0123456789\nredis.register_function('hongbao_0123456789_record', function() return 0 end)",
      );
    await redisBook(client).record([entry]);
    expect(await redisBook(client).outstandingCount()).toBe(1);
  });

  it('tells our own mistakes from faults that pass', async () => {
    await client.command('SET', `${tag}text`, 'no hash');
    const mistake = client.command('HGET', `${tag}text`, 'field');
    await expect(mistake).rejects.toThrow(/WRONGTYPE/);
    await expect(mistake).rejects.not.toBeInstanceOf(RetryableFault);
    await expect(client.command('MGET', '{a}1', '{b}1')).rejects.not.toBeInstanceOf(RetryableFault);
  });

  it('calls a server that is full unavailable, and forgets nothing to make room', async () => {
    const book = redisBook(client);
    await book.record([entry]);
    const primary = await cluster.primaryOf(tag);
    await primary.call('CONFIG', 'SET', 'maxmemory', '1');
    const other = { ...entry, order: anOrder({ person: 5, rain: 2 }) };
    await expect(book.record([other])).rejects.toMatchObject({ kind: 'book-unavailable' });
    await primary.call('CONFIG', 'SET', 'maxmemory', '0');
    expect(await book.winsOf(order.actId, order.phaseKey)).toHaveLength(1);
    await book.record([other]);
    expect(await book.winsOf(order.actId, order.phaseKey)).toHaveLength(2);
  });

  it('holds no more calls than it may, and refuses the next at once', async () => {
    const narrow = await connected(cluster.url, { callsMax: 10 });
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, () => narrow.command('GET', `${tag}n`)),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    const refused = results.find((result) => result.status === 'rejected');
    expect(refused?.reason).toMatchObject({ name: 'RetryableFault', kind: 'book-unavailable' });
    expect(narrow.load()).toEqual({ calls: 0, bytes: 0 });
    await narrow.close();
  });

  it('connects once there is a cluster, and is a fault until then', async () => {
    const address = cluster.urls[0]!;
    const lonely = await connected(`redis://127.0.0.1:1,${address.replace('redis://', '')}`);
    expect(await lonely.command('GET', `${tag}n`)).toBeNull();
    await lonely.close();
    await expect(lonely.command('GET', `${tag}n`)).rejects.toBeInstanceOf(RetryableFault);
  });

  it('says so when the server is too old for functions', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-redis-'));
    const include = path.join(folder, 'old.conf');
    writeFileSync(include, 'rename-command FUNCTION ""\n');
    const old = await startRedisCluster({ primaries: 1, replicas: 0, settings: { include } });
    await expect(connected(old.url)).rejects.toThrow('Redis 7.0 or newer is needed');
    await old.stop();
    rmSync(folder, { recursive: true });
  });

  it('says how many of its primaries answer', async () => {
    expect(await client.health()).toEqual({ reachable: true, primaries: 3, answering: 3 });
  });

  it('follows a bucket that moves to another primary while it is in use', async () => {
    const book = redisBook(client);
    const wins = Array.from({ length: 50 }, (_, nth) => anOrder({ person: 5 + 16 * nth }));
    const [now, later] = [wins.slice(0, 25), wins.slice(25)];
    await book.record(now.map((one) => ({ ...entry, order: one })));
    const { whole } = await markedWhole();
    expect(whole).toBe(true);

    const slot = Number(await client.command('CLUSTER', 'KEYSLOT', tag));
    const from = await cluster.primaryOf(tag);
    const to = (await cluster.primaries()).find((node) => node !== from)!;
    const [fromId, toId] = [await idOf(from), await idOf(to)];
    await to.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
    await from.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
    // Some keys here, some there: neither node can serve a call that needs both, and says TRYAGAIN.
    await from.call('MIGRATE', '127.0.0.1', to.port, `${tag}w3`, 0, 5_000);
    const stuck = book.record(later.map((one) => ({ ...entry, order: one })));
    await expect(stuck).rejects.toMatchObject({ kind: 'book-unavailable' });
    // The rest follows: the old node now sends people on (ASK).
    const left = (await from.call('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[];
    for (const key of left) await from.call('MIGRATE', '127.0.0.1', to.port, key, 0, 5_000);
    await book.record(later.map((one) => ({ ...entry, order: one })));
    // And then the slot is the new one's (MOVED).
    for (const node of [to, from, ...(await cluster.primaries())])
      await node.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
    await book.advance(now, TOKEN_STATUS.credited);
    expect(await cluster.primaryOf(tag)).toBe(to);
    expect(await book.outstandingCount()).toBe(25);
    expect(await Promise.all(wins.map((one) => book.winsOf(one.actId, one.phaseKey)))).toHaveLength(50);
    expect((await book.wholeness(bucketOf(order.actId, BUCKETS))).whole).toBe(false);
  });

  async function markedWhole() {
    const book = redisBook(client);
    const bucket = bucketOf(order.actId, BUCKETS);
    await book.markWhole(bucket, (await book.wholeness(bucket)).state);
    return eventually(() => book.wholeness(bucket));
  }
});

const idOf = async (node: RedisNode): Promise<string> => String(await node.call('CLUSTER', 'MYID'));
