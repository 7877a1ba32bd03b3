import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import type { Granted } from '../../src/stations/3-grant/grant.ts';
import type { SliceId } from '../../src/vocabulary/ids.ts';
import { type AskShape, askOf, createGrantWorld, type Fate } from '../support/grants.ts';
import { seeded, testSeed } from '../support/orders.ts';

const granted = async (answer: ReturnType<typeof askOf>): Promise<Granted> => {
  const got = await answer;
  if (isRefusal(got)) throw new Error(`refused: ${got.refused}, ${got.detail}`);
  return got;
};
const sceneOf = async (answer: ReturnType<typeof askOf>): Promise<string> =>
  (await granted(answer)).order.sceneId;

describe('a scene of which nothing is left', () => {
  it('gives its consolation, with an order number of the consolation’s own', async () => {
    const world = createGrantWorld();
    world.stock.set('first', 0);
    const { order, replayed } = await granted(askOf(world, { scene: 'first' }));
    expect({ ...order, replayed }).toMatchObject({
      orderNumber: '1000001_comfort_1_greeting_live',
      awardType: 'greeting',
      insteadOf: 'first',
      amountFen: 0n,
      replayed: false,
    });
  });

  it('answers the same ask as it did the first time, also when stock came back, also after a restart', async () => {
    const world = createGrantWorld();
    world.stock.set('first', 0);
    const first = await granted(askOf(world, { scene: 'first' }));
    world.stock.set('first', 10);
    const again = { ...first, replayed: true };
    expect(await askOf(world, { scene: 'first' })).toEqual(again);
    await world.restart();
    expect(await askOf(world, { scene: 'first' })).toEqual(again);
    expect(await sceneOf(askOf(world, { scene: 'first', rain: 2 }))).toBe('first');
    world.stock.set('first', 0);
    await world.restart();
    expect(await sceneOf(askOf(world, { scene: 'first', rain: 2 }))).toBe('first');
  });

  it('gives one answer to fifty who ask for the last one at the same moment', async () => {
    const world = createGrantWorld();
    world.stock.set('first', 1);
    const asks = Array.from({ length: 50 }, () => granted(askOf(world, { scene: 'first' })));
    const answers = await Promise.all(asks);
    expect(new Set(answers.map(({ order }) => order.orderNumber)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(world.log).toHaveLength(1);
  });

  it('is refused once the consolation is gone as well', async () => {
    const world = createGrantWorld();
    world.stock.set('first', 0).set('comfort', 0);
    expect(await askOf(world, { scene: 'first' })).toMatchObject({ refused: 'budget-exhausted' });
    expect(world.log).toEqual([]);
  });

  it('gives a person a shared consolation once a round: the second scene that names it is refused, and not bound', async () => {
    const world = createGrantWorld();
    world.stock.set('first', 0).set('second', 0);
    expect(await sceneOf(askOf(world, { scene: 'first' }))).toBe('comfort');
    expect(await askOf(world, { scene: 'second' })).toMatchObject({ refused: 'budget-exhausted' });
    world.stock.set('second', 1);
    expect(await sceneOf(askOf(world, { scene: 'second' }))).toBe('second');
    expect(await sceneOf(askOf(world, { scene: 'first' }))).toBe('comfort');
  });

  it('consoles also where the caller names the amount, which is then nobody’s any more', async () => {
    const world = createGrantWorld();
    world.stock.set('given', 0);
    expect(await sceneOf(askOf(world, { scene: 'given', amountFen: 500 }))).toBe('comfort');
    expect(await sceneOf(askOf(world, { scene: 'given', amountFen: 600 }))).toBe('comfort');
  });

  it('is told from one whose packets this person may not have', async () => {
    const world = createGrantWorld();
    const scene = world.campaign.scenes.get('first' as never)!;
    Object.assign(scene, { personPacketsMax: 1 });
    expect(await sceneOf(askOf(world, { scene: 'first' }))).toBe('first');
    expect(await askOf(world, { scene: 'first', rain: 2 })).toMatchObject({ refused: 'person-cap-reached' });
  });

  it('neither refuses nor consoles while nobody can look up what was granted before', async () => {
    const world = createGrantWorld();
    expect(await sceneOf(askOf(world, { scene: 'first' }))).toBe('first');
    await world.restart();
    world.stock.set('first', 0);
    world.setBookAway(true);
    await expect(askOf(world, { scene: 'first' })).rejects.toMatchObject({ kind: 'book-unavailable' });
    world.setBookAway(false);
    expect(await granted(askOf(world, { scene: 'first' }))).toMatchObject({
      replayed: true,
      order: { sceneId: 'first' },
    });
  });

  it.each<[Fate, string]>([
    ['lost behind', 'in the log all the same'],
    ['lost before', 'not in the log'],
  ])('tries what is unknown again, and nothing else: %s (%s)', async (fate) => {
    const fates: Fate[] = [fate];
    const world = createGrantWorld({ fate: () => fates.shift() ?? 'kept' });
    await expect(askOf(world, { scene: 'first' })).rejects.toMatchObject({ kind: 'outcome-unknown' });
    world.stock.set('first', 0);
    expect(await sceneOf(askOf(world, { scene: 'first' }))).toBe('first');
    expect(new Set(world.log.map((order) => JSON.stringify(order, plain))).size).toBe(1);
  });

  it.each(['void', 'unknown', 'credited'] as const)(
    'an unknown one whose slice is closed by now and that is %s: says so, and is not unknown for ever',
    async (became) => {
      const fates: Fate[] = ['lost before'];
      const world = createGrantWorld({ fate: () => fates.shift() ?? 'kept', fateOf: () => became });
      await expect(askOf(world, { scene: 'first' })).rejects.toMatchObject({ kind: 'outcome-unknown' });
      await world.granter().refuseSlice(1n as SliceId);
      const again = askOf(world, { scene: 'first' });
      if (became === 'unknown') return expect(again).rejects.toMatchObject({ kind: 'outcome-unknown' });
      if (became === 'credited') return expect(await again).toMatchObject({ order: { unit: { index: 1 } } });
      expect(await again).toMatchObject({ refused: 'slice-fenced' });
      world.granter().acceptSlice(1n as SliceId);
      expect(await askOf(world, { scene: 'first' })).toMatchObject({ order: { unit: { index: 3 } } });
      return expect(world.log).toHaveLength(1);
    },
  );
});

const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

const ROUNDS = 150;
const STEPS = 60;

describe('asks at random, with stock that comes and goes, faults and restarts', () => {
  it(`are each answered with one thing for ever (${ROUNDS} worlds)`, { timeout: 120_000 }, async () => {
    const seed = testSeed('consolations');
    for (let round = 0; round < ROUNDS; round += 1) await play(seed + round);
  });
});

/** One world: whatever interleaves, an ask is answered with one order, and no scene gives more than it had. */
async function play(seed: number): Promise<void> {
  const random = seeded(seed);
  const below = (count: number): number => Math.floor(random() * count);
  const fates: readonly Fate[] = [
    'kept',
    'kept',
    'kept',
    'kept',
    'kept',
    'not taken',
    'lost before',
    'lost behind',
  ];
  const world = createGrantWorld({
    fate: () => fates[below(fates.length)]!,
    pause: async () => {
      for (let turns = below(4); turns > 0; turns -= 1) await nextTurn();
    },
  });
  const had = new Map<string, number>();
  const add = (scene: string, pieces: number): void => {
    had.set(scene, (had.get(scene) ?? 0) + pieces);
    world.stock.set(scene, world.stock.get(scene)! + pieces);
  };
  for (const scene of ['first', 'second', 'comfort']) {
    world.stock.set(scene, 0);
    add(scene, below(4));
  }
  const answers = new Map<string, string>();
  const underWay = new Set<Promise<void>>();
  const ask = async (shape: Required<Pick<AskShape, 'person' | 'scene' | 'rain'>>): Promise<void> => {
    const key = `${shape.person}/${shape.scene}/${shape.rain}`;
    try {
      const answer = await askOf(world, shape);
      if (isRefusal(answer)) {
        expect(answers.get(key), `seed ${seed}: ${key} was granted, and is refused`).toBeUndefined();
        return;
      }
      const given = JSON.stringify(answer.order, plain);
      expect(given, `seed ${seed}: ${key}`).toBe(answers.get(key) ?? given);
      answers.set(key, given);
    } catch (error) {
      if (!(error instanceof RetryableFault)) throw error;
    }
  };
  const settle = () => Promise.all(underWay);
  for (let step = 0; step < STEPS; step += 1) {
    const what = below(20);
    if (what === 0) add(['first', 'second', 'comfort'][below(3)]!, 1);
    else if (what === 1) {
      await settle();
      await world.restart();
    } else {
      const scene = ['first', 'first', 'second', 'comfort'][below(4)]!;
      const asked = ask({ person: 1 + below(3), rain: 1 + below(2), scene });
      underWay.add(asked);
      asked.then(
        () => underWay.delete(asked),
        () => {},
      );
      if (below(3) === 0) await nextTurn();
    }
  }
  await settle();
  const byNumber = new Map(world.log.map((order) => [order.orderNumber, order]));
  for (const order of world.log)
    expect(JSON.stringify(order, plain), `seed ${seed}: one number, one content`).toBe(
      JSON.stringify(byNumber.get(order.orderNumber), plain),
    );
  const asks = [...byNumber.values()].map(
    (order) => `${order.actId}/${order.insteadOf ?? order.sceneId}/${order.rainId}`,
  );
  expect(new Set(asks).size, `seed ${seed}: one ask, one order`).toBe(asks.length);
  for (const [scene, pieces] of had)
    expect(
      [...byNumber.values()].filter((order) => order.sceneId === scene).length,
      `seed ${seed}: given of ${scene}`,
    ).toBeLessThanOrEqual(pieces);
}
