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
import type { RedisCluster } from '../../../tools/services.ts';
import { bucketOf } from '../../vocabulary/bucket.ts';
import type { ActId, PhaseKey } from '../../vocabulary/ids.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';
import type { RestorableBook } from '../ports.ts';
import type { RedisClient } from './client.ts';

const LIVE = 3 as PhaseKey;
const PENDING_BYTES_MAX = 400;
const PEOPLE = 100_000;
const position = { sequence: 1_000_000, leafIndex: 7 };
const orderOf = (person: number) =>
  anOrder({ person, fen: 100 + (person % 900), slice: 1_000 + (person % 50), index: person });

describe('the book on Redis Cluster', () => {
  let cluster: RedisCluster;
  let client: RedisClient;
  let book: RestorableBook;
  beforeAll(async () => {
    cluster = await startTestRedis();
    client = await connected(cluster.url);
    book = redisBook(client);
  });
  beforeEach(() => emptied(cluster));
  afterAll(async () => {
    await client?.close();
    await cluster?.stop();
  });

  const usedMemory = async (): Promise<number> => {
    const infos = await Promise.all((await cluster.primaries()).map((node) => node.call('INFO', 'memory')));
    return infos.reduce<number>(
      (sum, info) => sum + Number(/^used_memory:(\d+)/m.exec(String(info))?.[1]),
      0,
    );
  };

  const pendingIn = async (bucket: number): Promise<Set<string>> => {
    const found = new Set<string>();
    for await (const { order } of book.pendingIn(bucket)) found.add(order.orderNumber);
    return found;
  };

  it(`takes at most ${PENDING_BYTES_MAX} bytes for a token that waits, measured over 100,000 people`, async () => {
    const orders = Array.from({ length: PEOPLE }, (_, person) => orderOf(person));
    const empty = await usedMemory();
    await book.record(orders.map((order) => ({ order, position })));
    const pending = ((await usedMemory()) - empty) / PEOPLE;
    expect(await book.outstandingCount()).toBe(PEOPLE);
    await book.advance(orders, TOKEN_STATUS.credited);
    const credited = ((await usedMemory()) - empty) / PEOPLE;
    process.stderr.write(
      `book memory: ${Math.round(pending)} bytes a pending token, ${Math.round(credited)} a credited one\n`,
    );
    expect(pending).toBeLessThanOrEqual(PENDING_BYTES_MAX);
    expect(credited).toBeLessThan(pending);
    expect(await book.outstandingCount()).toBe(0);
    expect(await book.winsOf(orders[77]!.actId, LIVE)).toHaveLength(1);
  });

  it('lets wins go some time after the last of them, and never what is not credited', async () => {
    const brief = redisBook(client, () => 50);
    const [settled, waiting] = [orderOf(1), orderOf(2)];
    await brief.record([settled, waiting].map((order) => ({ order, position })));
    await brief.advance([settled], TOKEN_STATUS.credited);
    await eventually(async () => expect(await brief.winsOf(settled.actId, LIVE)).toEqual([]));
    expect(await brief.outstandingOf(waiting.actId, LIVE)).toMatchObject([{ order: waiting, position }]);
    await eventually(async () => expect(await brief.winsOf(waiting.actId, LIVE)).toEqual([]));
    // Known as pending, so not a second time, although its win is forgotten.
    await brief.record([{ order: waiting, position }]);
    expect(await brief.outstandingOf(waiting.actId, LIVE)).toHaveLength(1);
    expect(await brief.outstandingCount()).toBe(1);
  });

  it('moves what stood in a log that is lost to where it is noted anew, and nothing else', async () => {
    const [waiting, credited, fresh] = [orderOf(1), orderOf(2), orderOf(3)];
    const begin = 1_795_000_000_000;
    const place = (sequence: number, leafIndex: number) => ({ sequence, leafIndex });
    await book.record([waiting, credited].map((order) => ({ order, position })));
    await book.advance([waiting], TOKEN_STATUS.crediting);
    await book.advance([credited], TOKEN_STATUS.credited);
    // Without a beginning nothing moves.
    await book.record([{ order: waiting, position: place(begin + 9, 9) }]);
    expect(await book.winsOf(waiting.actId, LIVE)).toMatchObject([{ position }]);
    for (const leafIndex of [3, 4])
      await book.record(
        [waiting, credited, fresh].map((order) => ({ order, position: place(begin, leafIndex) })),
        begin,
      );
    for (const { actId } of [waiting, credited, fresh])
      expect(await book.winsOf(actId, LIVE)).toMatchObject([{ position: place(begin, 3) }]);
    expect(await book.outstandingOf(waiting.actId, LIVE)).toMatchObject([
      { order: waiting, position: place(begin, 3), status: TOKEN_STATUS.crediting },
    ]);
    expect(await book.outstandingOf(credited.actId, LIVE)).toEqual([]);
    expect(await book.outstandingCount()).toBe(2);
  });

  it('shares nothing with a book of another name on the same servers', async () => {
    const drill = redisBook(client, () => 1_000, 'drill');
    const order = orderOf(1);
    await drill.record([{ order, position }]);
    expect(await book.winsOf(order.actId, LIVE)).toEqual([]);
    expect([await book.outstandingCount(), await drill.outstandingCount()]).toEqual([0, 1]);
  });

  it('walks through what is pending in a bucket, all of it and nothing else', async () => {
    const orders = Array.from({ length: 4_000 }, (_, person) => orderOf(person));
    const drill = anOrder({ person: 7 + BUCKETS, phase: 'gray', phaseKey: 2 });
    await book.record([...orders, drill].map((order) => ({ order, position })));
    const credited = orders.filter((_, index) => index % 3 === 0);
    await book.advance(credited, TOKEN_STATUS.credited);
    for (const bucket of [0, 7]) {
      const expected = [...orders, drill].filter(
        (order) => !credited.includes(order) && bucketOf(order.actId, BUCKETS) === bucket,
      );
      expect([...(await pendingIn(bucket))].sort()).toEqual(
        expected.map((one) => one.orderNumber as string).sort(),
      );
    }
  });

  describe('knows whether it may have forgotten', () => {
    const BUCKET = 3;
    const isWhole = async () => (await book.wholeness(BUCKET)).whole;
    const mark = async () => book.markWhole(BUCKET, (await book.wholeness(BUCKET)).state);

    it('is not whole until somebody has filled it', async () => {
      expect(await isWhole()).toBe(false);
      expect(await mark()).toBe(true);
      expect(await isWhole()).toBe(true);
    });

    it('is not whole once it was emptied', async () => {
      await mark();
      await emptied(cluster);
      expect(await isWhole()).toBe(false);
    });

    it('says of an order that it was noted for the first time only while it is whole', async () => {
      const note = (person: number) => {
        const order = anOrder({ person: BUCKET + person * BUCKETS });
        return book.record([{ order, position }]);
      };
      expect(await note(1)).toEqual([]);
      await mark();
      expect(await note(2)).toHaveLength(1);
      await book.tear(BUCKET);
      expect(await note(3)).toEqual([]);
    });

    it('is not whole once somebody kept something from it, even while it is being filled', async () => {
      await mark();
      const seen = await book.wholeness(BUCKET);
      await book.tear(BUCKET);
      expect(await isWhole()).toBe(false);
      expect(await book.markWhole(BUCKET, seen.state)).toBe(false);
      expect(await isWhole()).toBe(false);
      expect(await mark()).toBe(true);
      expect(await isWhole()).toBe(true);
    });

    it('is not whole once its server began anew, whatever the server kept', async () => {
      await mark();
      const primary = await cluster.primaryOf(tagOf(BUCKET));
      await primary.kill();
      await primary.restart();
      expect(await eventually(isWhole)).toBe(false);
      await cluster.untilWhole();
    });

    it('leaves the other buckets as they are', async () => {
      await mark();
      await book.tear(BUCKET + 1);
      expect(await eventually(isWhole)).toBe(true);
      const people = [BUCKET, BUCKET + 1, BUCKET].map((bucket) => BigInt(BUCKETS + bucket) as ActId);
      const areWhole = () => Promise.all(people.map((actId) => book.isWhole(actId)));
      expect(await eventually(areWhole)).toEqual([true, false, true]);
      const turns = await Promise.all(people.map((actId) => book.takeTurn(actId, LIVE)));
      expect(turns.map((turn) => turn!.isAll)).toEqual([true, false, true]);
    });

    it('vouches for everybody but whom a process has left in his turn, from then on', async () => {
      await mark();
      const left = BigInt(BUCKET) as ActId;
      const other = BigInt(BUCKET + BUCKETS) as ActId;
      await redisBook(client, undefined, undefined, { turnMs: 20 }).takeTurn(left, LIVE);
      const order = { ...orderOf(1), actId: left };
      for (const end of ['given back', 'noted', 'given back']) {
        const turns = await Promise.all([left, other].map((actId) => book.takeTurn(actId, LIVE)));
        expect(turns.map((turn) => turn!.isAll)).toEqual([false, true]);
        turns[1]!.giveBack();
        if (end === 'given back') {
          turns[0]!.giveBack();
          continue;
        }
        turns[0]!.endsWith(order.orderNumber);
        await book.record([{ order, position }]);
      }
      expect(await isWhole()).toBe(true);
    });
  });
});
