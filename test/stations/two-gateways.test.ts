import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TokenBook } from '../../src/engines/ports.ts';
import type { RedisClient } from '../../src/engines/redis/client.ts';
import type { TurnTimes } from '../../src/engines/redis/turns.ts';
import { createGuardedBook } from '../../src/guard/guarded-book.ts';
import { isRefusal, type Refusal } from '../../src/protocol/failures.ts';
import type { Granted } from '../../src/stations/3-grant/grant.ts';
import type { PhaseKey, SceneId } from '../../src/vocabulary/ids.ts';
import type { RedisCluster } from '../../tools/services.ts';
import { playerOf } from '../support/campaign.ts';
import { type AskShape, askOf, createGrantWorld, type GrantWorld } from '../support/grants.ts';
import { anOrder, seeded, testSeed } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { BUCKETS, connected, emptied, markAllWhole, redisBook, startTestRedis } from '../support/redis.ts';

const PAIRS = 300;
const LIVE = 3 as PhaseKey;
const PEOPLE = Array.from({ length: PAIRS }, (_, person) => person);
/** A slow machine must not be taken for a dead process, where none dies. */
const PATIENT: TurnTimes = { turnMs: 60_000, waitMs: 120_000 };

describe('two gateways that grant to one person at the same moment', () => {
  let cluster: RedisCluster;
  let clients: RedisClient[];
  beforeAll(async () => {
    cluster = await startTestRedis();
    clients = await Promise.all([connected(cluster.url), connected(cluster.url)]);
  });
  beforeEach(async () => {
    await emptied(cluster);
    await markAllWhole(redisBook(clients[0]!));
  });
  afterAll(async () => {
    await Promise.all(clients?.map((client) => client.close()) ?? []);
    await cluster?.stop();
  });

  const booksOf = (times: TurnTimes = PATIENT): TokenBook[] =>
    clients.map((client) => redisBook(client, undefined, undefined, times));

  const both = (world: GrantWorld, ask: AskShape, other: AskShape): Promise<(Granted | Refusal)[]> =>
    Promise.all([askOf(world, ask, 0), askOf(world, other, 1)]);

  /** Each person has two rounds asked for at once, each at one gateway, of a scene that gives one packet a person. */
  async function raceForTheCap(books: TokenBook[]) {
    const world = createGrantWorld({ books });
    capOfOne(world);
    const pairs = await Promise.all(
      PEOPLE.map((person) =>
        both(world, { person, scene: 'first', rain: 1 }, { person, scene: 'first', rain: 2 }),
      ),
    );
    return { world, pairs };
  }

  /** Each person asks for one thing at both; of it there is enough for every second one only. */
  async function raceForTheLast(books: TokenBook[]) {
    const world = createGrantWorld({ books });
    world.stock.set('first', PAIRS / 2);
    const pairs = await Promise.all(
      PEOPLE.map((person) => both(world, { person, scene: 'first' }, { person, scene: 'first' })),
    );
    return { world, pairs };
  }

  it(`gives one packet against a cap of one, in ${PAIRS} races`, async () => {
    const { world, pairs } = await raceForTheCap(booksOf());
    for (const pair of pairs)
      expect(pair.map((answer) => isRefusal(answer) && answer.refused).sort()).toEqual([
        false,
        'person-cap-reached',
      ]);
    expect(world.log).toHaveLength(PAIRS);
    expect(world.stock.get('first')).toBe(1_000 - PAIRS);
  });

  it(`gives one answer to one ask, piece or consolation, in ${PAIRS} races for the last ones`, async () => {
    const { world, pairs } = await raceForTheLast(booksOf());
    for (const [one, other] of pairs as [Granted, Granted][]) {
      expect(other.order).toEqual(one.order);
      expect([one.replayed, other.replayed].sort()).toEqual([false, true]);
    }
    expect(world.log).toHaveLength(PAIRS);
    expect(world.log.filter(({ insteadOf }) => insteadOf === 'first')).toHaveLength(PAIRS / 2);
    expect(world.stock.get('first')).toBe(0);
  });

  it('would give too much if it were not for the turns: these tests can fail', async () => {
    const caps = await raceForTheCap(booksOf().map(withoutTurns));
    expect(caps.world.log.length).toBeGreaterThan(PAIRS);
    await emptied(cluster);
    await markAllWhole(redisBook(clients[0]!));
    const last = await raceForTheLast(booksOf().map(withoutTurns));
    expect(last.world.log.length).toBeGreaterThan(PAIRS);
  });

  it('answers one ask with one thing whatever comes first, at random, refusals and faults too', async () => {
    const random = seeded(testSeed('two gateways'));
    const below = (limit: number) => Math.floor(random() * limit);
    const world = createGrantWorld({
      books: booksOf(),
      pause: () => delay(below(3)),
      fate: () => (below(10) === 0 ? 'not taken' : 'kept'),
    });
    for (const scene of ['first', 'second', 'comfort']) world.stock.set(scene, 10);
    const answers = new Map<string, Granted>();
    const asks = Array.from({ length: 400 }, async () => {
      const ask = { person: below(12), scene: ['first', 'second'][below(2)]!, rain: 1 + below(2) };
      const key = JSON.stringify(ask);
      const answer = await askOf(world, ask, below(2)).catch(() => undefined);
      if (!answer || isRefusal(answer)) return;
      expect(answer.order).toEqual((answers.get(key) ?? answer).order);
      answers.set(key, answer);
    });
    await Promise.all(asks);
    expect(answers.size).toBeGreaterThan(10);
    const asked = world.log.map(
      (order) => `${order.actId}/${order.insteadOf ?? order.sceneId}/${order.rainId}`,
    );
    expect(new Set(asked).size).toBe(asked.length);
  });

  it('waits for one that died, and goes on when its time is over', async () => {
    const [dead] = booksOf({ turnMs: 300, promiseMs: 100 });
    await dead!.takeTurn(playerOf(1).actId, LIVE);
    const world = createGrantWorld({ books: booksOf() });
    expect(await askOf(world, { scene: 'first' })).toMatchObject({ replayed: false });
  });

  describe('of which one dies between its promise and the note of it', () => {
    /** The promise stands in the log, and no book has heard of it. */
    async function promisedByTheDead(): Promise<GrantWorld> {
      const [dead, alive] = booksOf({ turnMs: 300, promiseMs: 100 });
      const died = signal();
      const record = () => {
        died.give();
        return new Promise<never>(() => {});
      };
      const world = createGrantWorld({ books: [{ ...dead!, record }, alive!] });
      capOfOne(world);
      void askOf(world, { scene: 'first', rain: 1 }, 0);
      await died.given;
      world.setLedgerVouches(true);
      return world;
    }

    it('counts it against the cap', async () => {
      const world = await promisedByTheDead();
      expect(await askOf(world, { scene: 'first', rain: 2 }, 1)).toMatchObject({
        refused: 'person-cap-reached',
      });
      expect(world.log).toHaveLength(1);
    });

    it('never answers the ask with anything else, however often it is asked', async () => {
      const world = await promisedByTheDead();
      for (let tries = 0; tries < 2; tries += 1)
        await expect(askOf(world, { scene: 'first', rain: 1 }, 1)).rejects.toMatchObject({
          kind: 'book-unavailable',
        });
      expect(world.log).toHaveLength(1);
    });
  });

  it('refuses for the moment, and keeps no turn and no packet, when the other one is busy for too long', async () => {
    const busy = booksOf()[0]!;
    const held = await busy.takeTurn(playerOf(2).actId, LIVE);
    const world = createGrantWorld({ books: booksOf({ turnMs: 60_000, waitMs: 50 }) });
    const ask = { person: 1, aliases: [2], scene: 'first' };
    expect(await askOf(world, ask)).toMatchObject({ refused: 'idempotency-in-flight' });
    expect(world.stock.get('first')).toBe(1_000);
    // What it had taken of the person's own id is free again.
    expect(await busy.takeTurn(playerOf(1).actId, LIVE)).toBeDefined();
    held!.giveBack();
    expect(world.log).toEqual([]);
  });

  it('gives nothing when its turn has run out before the promise and the other one has given meanwhile', async () => {
    const [inItsTurn, awake] = [signal(), signal()];
    const world = createGrantWorld({
      books: booksOf({ turnMs: 300, promiseMs: 100, waitMs: 60_000 }),
      async pause(gateway) {
        if (gateway === 1) return;
        inItsTurn.give();
        await awake.given;
      },
    });
    capOfOne(world);
    const slow = askOf(world, { scene: 'first', rain: 1 }, 0);
    await inItsTurn.given;
    expect(await askOf(world, { scene: 'first', rain: 2 }, 1)).toMatchObject({ replayed: false });
    awake.give();
    expect(await slow).toMatchObject({ refused: 'idempotency-in-flight' });
    expect(world.log).toHaveLength(1);
    expect(world.stock.get('first')).toBe(999);
    expect(await askOf(world, { scene: 'first', rain: 1 }, 0)).toMatchObject({
      refused: 'person-cap-reached',
    });
  });

  it('goes on at both while the book is away', async () => {
    const books = clients.map((client) => {
      const book = redisBook(client, undefined, undefined, PATIENT);
      return createGuardedBook({ book, buckets: BUCKETS, random: () => 1, logger: quiet });
    });
    for (const book of books) book.switchOff();
    const world = createGrantWorld({ books });
    const answers = await both(world, { scene: 'first', rain: 1 }, { scene: 'first', rain: 2 });
    expect(answers).toMatchObject([{ replayed: false }, { replayed: false }]);
    for (const book of books) book.stop();
  });

  it('goes on at both when the servers forget the turn', async () => {
    let others: Promise<Granted | Refusal> | undefined;
    const world = createGrantWorld({
      books: booksOf(),
      async pause(gateway) {
        if (gateway === 1 || others) return;
        await emptied(cluster);
        others = askOf(world, { scene: 'first', rain: 2 }, 1);
        await others;
      },
    });
    expect(await askOf(world, { scene: 'first', rain: 1 }, 0)).toMatchObject({ replayed: false });
    expect(await others).toMatchObject({ replayed: false });
    expect(await redisBook(clients[0]!).winsOf(playerOf(1).actId, LIVE)).toHaveLength(2);
  });

  it('holds for a joined person under all their ids, and nobody waits in a circle', async () => {
    const random = seeded(testSeed('joined people at two gateways'));
    const world = createGrantWorld({ books: booksOf() });
    capOfOne(world);
    const pairs = await Promise.all(
      PEOPLE.slice(0, 100).map((nth) => {
        // Three ids that lie anywhere; each gateway may have heard of one join only.
        const [person, ...aliases] = [3 * nth, 3 * nth + 1, 3 * nth + 2] as [number, number, number];
        const ask = { person, aliases, scene: 'first' };
        return random() < 0.5
          ? both(world, { ...ask, rain: 1 }, { ...ask, rain: 2 })
          : both(world, { ...ask, rain: 1 }, { person: aliases[0]!, aliases: [aliases[1]!], scene: 'first' });
      }),
    );
    for (const pair of pairs) expect(pair.some((answer) => !isRefusal(answer))).toBe(true);
    const joined = pairs.filter(([one, other]) => isRefusal(one!) || isRefusal(other!));
    expect(joined.length).toBeGreaterThan(20);
  });

  it('finds what a gateway is giving that has not heard of the join yet', async () => {
    const [inItsTurn, waits] = [signal(), signal()];
    const [knows, doesNot] = booksOf();
    const world = createGrantWorld({
      books: [
        {
          ...knows!,
          takeTurn(actId, phaseKey) {
            if (actId === playerOf(2).actId) waits.give();
            return knows!.takeTurn(actId, phaseKey);
          },
        },
        doesNot!,
      ],
      async pause(gateway) {
        if (gateway === 0) return;
        inItsTurn.give();
        await waits.given;
      },
    });
    const alone = askOf(world, { person: 2, scene: 'first' }, 1);
    await inItsTurn.given;
    const joined = await askOf(world, { person: 1, aliases: [2], scene: 'first' }, 0);
    expect(joined).toMatchObject({ replayed: true, order: { actId: playerOf(2).actId } });
    expect(await alone).toMatchObject({ replayed: false });
    expect(world.log).toHaveLength(1);
  });

  it('asks the book for one request of a person at a time', async () => {
    let held = 0;
    let most = 0;
    const [book] = booksOf();
    const counted: TokenBook = {
      ...book!,
      async takeTurn(actId, phaseKey) {
        held += 1;
        most = Math.max(most, held);
        const turn = (await book!.takeTurn(actId, phaseKey))!;
        return {
          wins: turn.wins,
          isAll: turn.isAll,
          lasts: () => turn.lasts(),
          endsWith: (order) => turn.endsWith(order),
          giveBack() {
            held -= 1;
            turn.giveBack();
          },
        };
      },
    };
    const world = createGrantWorld({ books: [counted] });
    await Promise.all(Array.from({ length: 50 }, (_, at) => askOf(world, { scene: 'first', rain: at + 1 })));
    expect(world.log).toHaveLength(50);
    expect(most).toBe(1);
  });

  it('a player’s packet, too: the same one opened at both is one order', async () => {
    const world = createGrantWorld({ books: booksOf() });
    const pairs = await Promise.all(
      PEOPLE.map((person) => {
        const order = anOrder({ person, scene: 'cash' });
        return Promise.all([world.granter(0).grant(order), world.granter(1).grant(order)]);
      }),
    );
    expect(pairs.every((pair) => pair.every((answer) => !isRefusal(answer)))).toBe(true);
    expect(world.log).toHaveLength(PAIRS);
  });
});

function capOfOne(world: GrantWorld): void {
  Object.assign(world.campaign.scenes.get('first' as SceneId)!, { personPacketsMax: 1 });
}

function signal(): { readonly given: Promise<void>; give(): void } {
  let give = () => {};
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}

/** As it was before there were turns. */
const withoutTurns = (book: TokenBook): TokenBook => ({
  ...book,
  takeTurn: async (actId, phaseKey) => ({
    wins: await book.winsOf(actId, phaseKey),
    isAll: await book.isWhole(actId),
    lasts: () => true,
    endsWith() {},
    giveBack() {},
  }),
});
