import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenHongbao, openHongbao } from '../../sdk/index.ts';
import type { RedisClient } from '../../src/engines/redis/client.ts';
import type { ActId } from '../../src/vocabulary/ids.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { formatOrderNumber } from '../../src/vocabulary/order-number.ts';
import type { RedisCluster } from '../../tools/services.ts';
import { anOrder } from '../support/orders.ts';
import { BUCKETS, connected, redisBook, startTestRedis } from '../support/redis.ts';
import { ledgerFaults } from '../support/rig.ts';
import { type SdkRig, startSdkRig } from '../support/sdk.ts';
import { describeWithServers } from '../support/servers.ts';

const SPACE = 'sdk';

/** An order of the gala for this person; each `index` once. */
function orderFor(rig: SdkRig, actId: ActId, index: number, fen = 100): Order {
  const order = anOrder({ person: 0, rain: index + 1, fen, slice: 7, index, phaseKey: rig.phaseKey });
  const { sceneId, rainId, awardType } = order;
  return {
    ...order,
    actId,
    orderNumber: formatOrderNumber({ actId, sceneId, rainId, awardType, stage: order.phaseId }),
  };
}

describe('the library beside an engine that keeps everything itself', () => {
  let rig: SdkRig;
  let hongbao: OpenHongbao;
  beforeAll(async () => {
    rig = await startSdkRig();
    hongbao = await openHongbao({ ...rig, cacheMs: 0 });
  });
  afterAll(async () => {
    await hongbao?.close();
    await rig?.stop();
  });

  it('sees what is credited, and says that this may not be all: the book is in the engine’s own memory', async () => {
    const actId = await rig.actIdOf('ann');
    await rig.ledger.credit([orderFor(rig, actId, 0, 700)]);
    expect(await hongbao.balance('gala', { app: 'demo', user: 'ann' })).toMatchObject({
      balanceFen: 700n,
      totalIncomeFen: 700n,
      outstandingFen: 0n,
      complete: false,
    });
    expect(await hongbao.balance('gala', { actId })).toMatchObject({ balanceFen: 700n });
    expect(await hongbao.totalIncome('gala', { actId })).toMatchObject({ totalIncomeFen: 700n });
    expect(await hongbao.hasReceived('gala', { actId })).toMatchObject({ received: true, complete: false });
    expect(await hongbao.hasReceived('gala', { app: 'demo', user: 'bob' })).toMatchObject({
      received: false,
    });
    expect(await hongbao.forceCredit('gala', { actId })).toEqual({
      credited: 0,
      alreadyCredited: 0,
      left: [],
      complete: false,
    });
  });

  it('reads the stock, at most a second old', async () => {
    const stock = await hongbao.remainingStock('gala', 'fireworks');
    expect(stock).toMatchObject({
      total: { fen: 100_000_000n, packets: 100_000 },
      available: { fen: 100_000_000n, packets: 100_000 },
      low: false,
    });
  });

  it('refuses with a value what is not there', async () => {
    expect(await hongbao.balance('nowhere', { actId: 1n })).toMatchObject({ refused: 'campaign-unknown' });
    expect(await hongbao.balance('gala', { actId: 0n })).toMatchObject({ refused: 'malformed' });
    expect(await hongbao.hasReceived('gala', { app: 'elsewhere', user: 'ann' })).toMatchObject({
      refused: 'malformed',
    });
    expect(await hongbao.remainingStock('gala', 'nothing')).toMatchObject({ refused: 'scene-unknown' });
  });

  it('wants the engine’s keys, and says so', async () => {
    await expect(openHongbao({ ...rig, keysFolder: '/nowhere' })).rejects.toThrow('keyring');
  });
});

describeWithServers(['redis'], 'the library over Postgres and Redis Cluster', () => {
  let rig: SdkRig;
  let cluster: RedisCluster;
  let client: RedisClient;
  let people = 0;
  const opened: OpenHongbao[] = [];

  beforeAll(async () => {
    [rig, cluster] = await Promise.all([startSdkRig(), startTestRedis()]);
    client = await connected(cluster.url);
    const book = bookOf();
    for (let bucket = 0; bucket < BUCKETS; bucket += 1)
      await book.markWhole(bucket, (await book.wholeness(bucket)).state);
  });
  afterAll(async () => {
    for (const one of opened) await one.close();
    await client?.close();
    await cluster?.stop();
    await rig?.stop();
  });

  const bookOf = () => redisBook(client, undefined, SPACE);
  const open = async (cacheMs: number): Promise<OpenHongbao> => {
    const one = await openHongbao({
      ...rig,
      bookUrl: cluster.url,
      space: SPACE,
      buckets: BUCKETS,
      cacheMs,
    });
    opened.push(one);
    await expect
      .poll(async () => one.balance('gala', { actId: 1n }), { timeout: 20_000 })
      .toMatchObject({
        complete: true,
      });
    return one;
  };
  const newcomer = async () => {
    people += 1;
    const user = `person-${people}`;
    const actId = await rig.actIdOf(user);
    return { who: { app: 'demo', user }, actId };
  };
  const promise = (...orders: Order[]) =>
    bookOf().record(orders.map((order, at) => ({ order, position: { sequence: at + 1, leafIndex: 0 } })));

  it('shows what the wallet shows: credited and promised, each packet once', async () => {
    const hongbao = await open(0);
    const { who, actId } = await newcomer();
    const orders = [orderFor(rig, actId, 10, 300), orderFor(rig, actId, 11, 50), orderFor(rig, actId, 12, 7)];
    await promise(...orders);
    await rig.ledger.credit([orders[0]!]);
    expect(await hongbao.balance('gala', who)).toMatchObject({
      balanceFen: 357n,
      creditedFen: 300n,
      outstandingFen: 57n,
      totalIncomeFen: 357n,
      complete: true,
    });
  });

  it('knows of a promise before anything is credited, and remembers a yes for good, a no for a second', async () => {
    const hongbao = await open(0);
    const { who, actId } = await newcomer();
    expect(await hongbao.hasReceived('gala', who)).toMatchObject({ received: false, complete: true });
    await promise(orderFor(rig, actId, 20));
    await expect
      .poll(async () => hongbao.hasReceived('gala', who), { timeout: 5_000 })
      .toMatchObject({
        received: true,
      });
    const first = await hongbao.hasReceived('gala', who);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await hongbao.hasReceived('gala', who)).toBe(first);
  });

  it('credits by force what is outstanding, and knows it at once, whatever it remembered', async () => {
    const hongbao = await open(3_600_000);
    const { who, actId } = await newcomer();
    await promise(orderFor(rig, actId, 30, 300), orderFor(rig, actId, 31, 40));
    const before = await hongbao.balance('gala', who);
    expect(before).toMatchObject({ balanceFen: 340n, creditedFen: 0n });
    expect(await hongbao.balance('gala', { actId })).toBe(before);
    expect(await hongbao.forceCredit('gala', who)).toEqual({
      credited: 2,
      alreadyCredited: 0,
      left: [],
      complete: true,
    });
    expect(await hongbao.balance('gala', who)).toMatchObject({
      balanceFen: 340n,
      creditedFen: 340n,
      outstandingFen: 0n,
    });
    expect(await bookOf().outstandingOf(actId, rig.phaseKey)).toEqual([]);
    expect(await hongbao.forceCredit('gala', who)).toMatchObject({ credited: 0, complete: true });
    expect(await ledgerFaults(rig.pool)).toEqual([]);
  });

  it('races with crediting and with itself, and every packet is credited once', async () => {
    const hongbao = await open(0);
    const { who, actId } = await newcomer();
    const orders = Array.from({ length: 20 }, (_, at) => orderFor(rig, actId, 40 + at, 10));
    await promise(...orders);
    await Promise.all([
      ...Array.from({ length: 5 }, () => hongbao.forceCredit('gala', who)),
      rig.ledger.credit(orders),
      rig.ledger.credit(orders.slice(3)),
    ]);
    expect(await hongbao.balance('gala', who)).toMatchObject({ balanceFen: 200n, creditedFen: 200n });
    expect(await ledgerFaults(rig.pool)).toEqual([]);
  });

  it('credits nothing of a slice that is counted already, and says what is left', async () => {
    const hongbao = await open(0);
    const { who, actId } = await newcomer();
    const late = orderFor(rig, actId, 80, 999);
    const order = { ...late, unit: { ...late.unit, sliceId: 8n as typeof late.unit.sliceId } };
    await promise(order);
    await rig.ledger.fence(order.unit);
    expect(await hongbao.forceCredit('gala', who)).toEqual({
      credited: 0,
      alreadyCredited: 0,
      left: [order.orderNumber],
      complete: true,
    });
  });

  it('knows a stranger by the id that a session gives him later', async () => {
    const hongbao = await open(0);
    const stranger = { app: 'demo', user: 'stranger' };
    await Promise.all(Array.from({ length: 5 }, () => hongbao.balance('gala', stranger)));
    const actId = await rig.actIdOf('stranger');
    await rig.ledger.credit([orderFor(rig, actId, 85, 60)]);
    expect(await hongbao.balance('gala', stranger)).toMatchObject({ balanceFen: 60n });
  });

  it('knows that two ids are one person: money and promises of both are seen, asked about by either', async () => {
    const hongbao = await open(0);
    const [older, younger] = [await newcomer(), await newcomer()];
    await rig.ledger.credit([orderFor(rig, older.actId, 95, 100), orderFor(rig, younger.actId, 96, 20)]);
    await promise(orderFor(rig, younger.actId, 97, 3));
    expect(await hongbao.balance('gala', older.who)).toMatchObject({ balanceFen: 100n });
    expect(await hongbao.balance('gala', younger.who)).toMatchObject({ balanceFen: 23n });
    await rig.join(older.who.user, younger.who.user);
    const together = { balanceFen: 123n, totalIncomeFen: 123n, outstandingFen: 3n };
    for (const who of [older.who, younger.who, { actId: older.actId }, { actId: younger.actId }])
      await expect
        .poll(async () => hongbao.balance('gala', who), { timeout: 10_000 })
        .toMatchObject(together);
    expect(await hongbao.forceCredit('gala', older.who)).toMatchObject({ credited: 1 });
    expect(await hongbao.balance('gala', younger.who)).toMatchObject({
      balanceFen: 123n,
      outstandingFen: 0n,
    });
    expect(await hongbao.hasReceived('gala', { actId: older.actId })).toMatchObject({ received: true });
  });

  it('does without a book that is away: what is credited is shown, and that it may not be all', async () => {
    const { who, actId } = await newcomer();
    await rig.ledger.credit([orderFor(rig, actId, 90, 5)]);
    const hongbao = await openHongbao({
      ...rig,
      bookUrl: 'redis://127.0.0.1:1',
      space: SPACE,
      buckets: BUCKETS,
      cacheMs: 0,
    });
    opened.push(hongbao);
    expect(await hongbao.balance('gala', who)).toMatchObject({ balanceFen: 5n, complete: false });
    expect(await hongbao.hasReceived('gala', who)).toMatchObject({ received: true });
    expect(await hongbao.forceCredit('gala', who)).toMatchObject({ credited: 0, complete: false });
  });
});
