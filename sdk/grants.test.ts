import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGrantWorld, type Fate, type GrantWorld, grantApp, SECRET } from '../test/support/grants.ts';
import { seeded, testSeed } from '../test/support/orders.ts';
import { createGrantClient, type Encoding, type GrantAsk, type GrantClientOptions } from './grants.ts';

const ask = (sceneId: string, more: Partial<GrantAsk> = {}): GrantAsk => ({
  campaignId: 'gala',
  sceneId,
  rainId: 1,
  app: 'demo',
  user: 'zoe',
  drawnAtMs: 1_800_000_000_000,
  ...more,
});

describe.each<Encoding>(['protobuf', 'json'])('the grant client, in %s', (encoding) => {
  let world: GrantWorld;
  let app: FastifyInstance;
  let url: string;
  let fates: Fate[];
  let pauses: number[];

  beforeEach(async () => {
    fates = [];
    pauses = [];
    world = createGrantWorld({ fate: () => fates.shift() ?? 'kept' });
    app = await grantApp(world);
    url = await app.listen({ port: 0, host: '127.0.0.1' });
  });
  afterEach(() => app.close());

  const client = (options: Partial<GrantClientOptions> = {}) =>
    createGrantClient({
      url,
      secret: SECRET,
      encoding,
      random: () => 1,
      sleep: async (ms) => void pauses.push(ms),
      ...options,
    });
  /** The real network, but for the answers that the list says are lost: sent, done, and not heard of. */
  const losing = (lost: readonly boolean[]): typeof fetch => {
    let at = 0;
    return async (...request) => {
      const response = await fetch(...request);
      at += 1;
      if (lost[at - 1]) throw new DOMException('too long', 'TimeoutError');
      return response;
    };
  };

  it('gives typed answers: granted, replayed, refused', async () => {
    const { grant } = client();
    const granted = await grant(ask('given', { amountFen: 500 }));
    expect(granted).toEqual({
      outcome: 'granted',
      orderNumber: expect.stringContaining('_given_1_cash_live'),
      sceneId: 'given',
      awardType: 'cash',
      amountFen: 500,
      worthFen: 500,
      drawnAtMs: 1_800_000_000_000,
      consolation: false,
      low: false,
    });
    expect(await grant(ask('given', { amountFen: 500 }))).toEqual({ ...granted, outcome: 'replayed' });
    expect(await grant(ask('given', { amountFen: 501 }))).toMatchObject({
      outcome: 'refused',
      code: 'order-conflict',
      retryable: false,
    });
    expect(await client({ secret: 'hbu_wrong' }).grant(ask('cash'))).toMatchObject({
      outcome: 'refused',
      code: 'credential-invalid',
    });
    expect(pauses).toEqual([]);
  });

  it('asks again under the same identity when an answer is lost, and finds the first one', async () => {
    const answer = await client({ fetch: losing([true, true, false]) }).grant(ask('cash'));
    expect(answer).toMatchObject({ outcome: 'replayed', awardType: 'cash' });
    expect(world.log).toHaveLength(1);
    expect(pauses).toEqual([100, 200]);
  });

  it('waits as long as it is told, and chance adds to it', async () => {
    fates = ['not taken', 'lost behind', 'lost before'];
    expect(await client().grant(ask('cash'))).toMatchObject({ outcome: 'granted' });
    const told = encoding === 'json' ? 1_000 : 1;
    expect(pauses).toEqual([told + 100, told + 200, told + 400]);
  });

  it('says unknown when its tries are used up, and never "no"', async () => {
    const lost = client({ fetch: losing([true, true, true]), triesMax: 3 });
    expect(await lost.grant(ask('cash'))).toMatchObject({ outcome: 'unknown', code: 'unreachable' });
    expect(await client().grant(ask('cash'))).toMatchObject({ outcome: 'replayed' });
  });

  it('takes a "no" behind a try that was never answered for unknown: that one may still be under way', async () => {
    const first = client({ fetch: losing([true]) });
    world.stock.set('avatar-pendant', 0);
    const answer = await first.grant(ask('avatar-pendant'));
    expect(answer).toMatchObject({ outcome: 'unknown', code: 'budget-exhausted', isFinal: true });
    expect(await client().grant(ask('avatar-pendant'))).toMatchObject({ outcome: 'refused' });
  });

  it('goes to another gateway when one refuses connections, where a "no" is a "no"', async () => {
    const gone = await grantApp(world);
    const goneUrl = await gone.listen({ port: 0, host: '127.0.0.1' });
    await gone.close();
    for (let at = 0; at < 8; at += 1) {
      const user = `u${at}`;
      const { grant } = client({ url: [goneUrl, url] });
      expect(await grant(ask('cash', { user }))).toMatchObject({ outcome: 'granted' });
      expect(await grant(ask('nothing', { user }))).toMatchObject({ outcome: 'refused' });
    }
  });

  it('stays with a gateway that may be working on what was sent, and leaves one that is silent for good', async () => {
    const asked: string[] = [];
    const silent: typeof fetch = async (target, init) => {
      asked.push(new URL(String(target)).host);
      if (asked.length <= 5) throw new DOMException('too long', 'TimeoutError');
      return fetch(target, init);
    };
    const other = url.replace('127.0.0.1', 'localhost');
    const answer = await client({ url: [url, other], timeoutMs: 3_000, fetch: silent }).grant(ask('cash'));
    expect(answer).toMatchObject({ outcome: 'granted' });
    // Five times three seconds: by then it has ended whatever it was doing.
    expect(new Set(asked.slice(0, 5)).size).toBe(1);
    expect(asked).toHaveLength(6);
    expect(asked[5]).not.toBe(asked[0]);
  });

  it.each<[string, () => Response]>([
    ['a page of a proxy', () => new Response('<html>busy</html>', { status: 502 })],
    [
      'an answer to something else',
      () => new Response('{"hello":1}', { headers: { 'content-type': 'application/json' } }),
    ],
    ['nothing', () => new Response(null, { status: 204 })],
    [
      'half an answer',
      () =>
        new Response(new Uint8Array([10, 200]), { headers: { 'content-type': 'application/x-protobuf' } }),
    ],
  ])('understands nothing of %s, and asks again', async (_, strange) => {
    const answers = [strange, strange];
    const { grant } = client({
      fetch: async (...request) => answers.shift()?.() ?? fetch(...request),
    });
    expect(await grant(ask('cash'))).toMatchObject({ outcome: 'granted' });
    expect(pauses).toHaveLength(2);
  });

  it('asks a thousand in batches, and only those again that are not settled', async () => {
    const bodies: number[] = [];
    fates = ['lost before'];
    const many = client({
      timeoutMs: 60_000,
      fetch: async (target, init) => {
        bodies.push((init!.body as string | Uint8Array).length);
        return fetch(target, init);
      },
    });
    const asks = Array.from({ length: 1_000 }, (_, at) => ask('cash', { user: `u${at}` }));
    const results = await many.grantAll([...asks, ask('nothing')]);
    expect(results.slice(0, 1_000).every(({ outcome }) => outcome === 'granted')).toBe(true);
    expect(results[1_000]).toMatchObject({ outcome: 'refused', code: 'scene-unknown' });
    expect(new Set(world.log.map((order) => order.orderNumber)).size).toBe(1_000);
    expect(bodies).toHaveLength(4);
    expect(bodies[3]!).toBeLessThan(300);
    expect(await many.grantAll([])).toEqual([]);
  });

  it('whatever is lost: each ask is granted at most once, and none that was granted is told "no" (seeded)', async () => {
    const random = seeded(testSeed('lost answers'));
    const hazard = (): Fate => (random() < 0.2 ? 'lost behind' : random() < 0.2 ? 'lost before' : 'kept');
    fates = Array.from({ length: 200 }, hazard);
    world.stock.set('first', 20).set('comfort', 20);
    const lost = client({ fetch: losing(Array.from({ length: 200 }, () => random() < 0.3)), triesMax: 3 });
    const asks = Array.from({ length: 60 }, (_, at) => ask('first', { user: `u${at}` }));
    const results = await Promise.all(asks.map((one) => lost.grant(one)));
    const askers = new Map<bigint, string>();
    for (const order of world.log) {
      expect(askers.get(order.actId) ?? order.orderNumber).toBe(order.orderNumber);
      askers.set(order.actId, order.orderNumber);
    }
    for (const [at, result] of results.entries()) {
      const number = askers.get(BigInt(`0x${Buffer.from(`u${at}`).toString('hex')}`));
      if (result.outcome === 'refused') expect(number).toBeUndefined();
      if (result.outcome === 'granted' || result.outcome === 'replayed')
        expect(number).toBe(result.orderNumber);
    }
    expect(askers.size).toBeLessThanOrEqual(40);
  });
});
