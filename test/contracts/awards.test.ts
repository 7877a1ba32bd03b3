import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account, Awards, Ledger } from '../../src/engines/ports.ts';
import { isRefusal } from '../../src/protocol/failures.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, PhaseKey, SceneId, WithdrawalId } from '../../src/vocabulary/ids.ts';
import { type InstantMs, instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import type { OrderNumber } from '../../src/vocabulary/order-number.ts';
import {
  cutConnections,
  type LedgerEngine,
  ledgerEngines,
  untilAnswered,
} from '../support/ledger-engines.ts';
import { anOrder, type OrderShape, seeded, shuffled, testSeed } from '../support/orders.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { booksOf } from '../support/shards.ts';

const NOW = instantMs(1_800_000_000_000);
const later = (ms: number): InstantMs => instantMs(NOW + ms);
const aPiece = (shape: OrderShape): Order =>
  anOrder({ scene: 'tea', award: 'drinks-coupon', fen: 1_900, atMs: NOW, ...shape });
const accountOf = (order: Order): Account => ({ actId: order.actId, phaseKey: order.phaseKey });

describe.each(ledgerEngines())('pieces in the ledger on $name', ({ kind, start }) => {
  let server: TestPostgres;
  let engine: LedgerEngine;
  let ledger: Ledger & Awards;

  beforeAll(async () => {
    server = await startTestPostgres(kind);
    engine = await start(server);
    ledger = engine.ledger;
  });
  afterAll(async () => {
    await engine.stop();
    await server.stop();
  });

  const assertBalanced = async () => {
    for (const pool of engine.pools) expect(await booksOf(pool)).toEqual({ total: 0n, wrong: [] });
  };
  const credited = async (shape: OrderShape): Promise<readonly [Account, OrderNumber]> => {
    const order = aPiece(shape);
    await ledger.credit([order]);
    return [accountOf(order), order.orderNumber];
  };
  const stateOf = async (account: Account, orderNumber: OrderNumber) =>
    (await ledger.award(account, orderNumber))?.state;
  /** All that wait; each test looks for its own among them. */
  const dueBy = async (nowMs: InstantMs, ...accounts: Account[]) =>
    (await ledger.dueAwards(nowMs, 10_000)).filter((award) =>
      accounts.some(({ actId }) => actId === award.account.actId),
    );

  it('credits a piece beside money, once, and counts it as no money', async () => {
    const [piece, money] = [
      aPiece({ person: 1, slice: 41 }),
      anOrder({ person: 1, slice: 42, fen: 88, atMs: NOW }),
    ];
    expect(await ledger.credit([piece, money, piece])).toEqual({
      credited: 2,
      alreadyCredited: 1,
      conflicting: [],
    });
    expect(await ledger.credit([money, piece])).toEqual({ credited: 0, alreadyCredited: 2, conflicting: [] });
    expect(await ledger.wallet(accountOf(piece), [piece.orderNumber, money.orderNumber])).toEqual({
      balanceFen: 88n,
      heldFen: 0n,
      incomeFen: 88n,
      movedFen: 0n,
      credited: new Set([piece.orderNumber, money.orderNumber]),
    });
    expect((await ledger.records(accountOf(piece), undefined, 9)).map((line) => line.ref)).toEqual([
      money.orderNumber,
    ]);
    expect(await ledger.awards(accountOf(piece))).toEqual([
      {
        account: accountOf(piece),
        orderNumber: piece.orderNumber,
        worthFen: 1_900n,
        state: 'granted',
        drawnAtMs: NOW,
        tries: 0,
        dueAtMs: NOW,
      },
    ]);
    expect(await ledger.sliceTally(piece.phaseKey, piece.unit.sliceId)).toEqual({ packets: 1, fen: 1_900n });
    await assertBalanced();
  });

  it('credits a piece that is worth nothing, and its slice counts it', async () => {
    const greeting = aPiece({ person: 2, award: 'greeting', scene: 'luck', fen: 0, slice: 43 });
    expect((await ledger.credit([greeting])).credited).toBe(1);
    expect(await ledger.awards(accountOf(greeting))).toMatchObject([{ worthFen: 0n, state: 'granted' }]);
    expect(await ledger.sliceTally(greeting.phaseKey, greeting.unit.sliceId)).toEqual({
      packets: 1,
      fen: 0n,
    });
    await assertBalanced();
  });

  it('moves nothing for a piece that comes with other content, and makes no second one', async () => {
    const [first, forged] = [aPiece({ person: 3 }), aPiece({ person: 3, fen: 1_901 })];
    await ledger.credit([first]);
    expect(await ledger.credit([forged, anOrder({ person: 3 })])).toEqual({
      credited: 1,
      alreadyCredited: 0,
      conflicting: [forged.orderNumber],
    });
    expect(await ledger.awards(accountOf(first))).toMatchObject([{ worthFen: 1_900n }]);
  });

  it('credits what never went through the log, until its slice is fenced', async () => {
    const [before, behind] = [aPiece({ person: 4, slice: 44 }), aPiece({ person: 4, slice: 44, rain: 2 })];
    const fresh = { credited: 1, alreadyCredited: 0, conflicting: [], fenced: [] };
    expect(await ledger.creditUnlogged([before])).toEqual(fresh);
    await ledger.fence({ sliceId: before.unit.sliceId, epoch: 1 });
    expect(await ledger.creditUnlogged([before, behind, anOrder({ person: 4 })])).toEqual({
      credited: 1,
      alreadyCredited: 1,
      conflicting: [],
      fenced: [behind.orderNumber],
    });
    expect((await ledger.awards(accountOf(before))).map((award) => award.orderNumber)).toEqual([
      before.orderNumber,
    ]);
    await assertBalanced();
  });

  it('forces pieces along with money, which alone can be withdrawn, or neither', async () => {
    const [piece, money] = [aPiece({ person: 5 }), anOrder({ person: 5, fen: 60 })];
    const ask = (fen: number, nth: number) => ({
      id: `00000000-0000-7000-8000-00000000000${nth}` as WithdrawalId,
      account: accountOf(piece),
      amountFen: BigInt(fen) as Fen,
      idempotencyKey: `key-${nth}`,
      payloadHash: new Uint8Array(32),
      requestedAtMs: NOW,
      force: [money, piece],
    });
    expect(await ledger.hold(ask(61, 1))).toMatchObject({ refused: 'insufficient-balance' });
    expect(await ledger.awards(accountOf(piece))).toEqual([]);
    expect(isRefusal(await ledger.hold(ask(60, 2)))).toBe(false);
    expect(await ledger.awards(accountOf(piece))).toHaveLength(1);
    await assertBalanced();
  });

  it('lists a person’s pieces newest first, and keeps people and phases apart', async () => {
    const mine = [3, 1, 2].map((rain) => aPiece({ person: 6, rain, atMs: NOW + (rain === 3 ? 0 : 5) }));
    await ledger.credit([
      ...mine,
      aPiece({ person: 7 }),
      aPiece({ person: 6, phase: 'gray', phaseKey: 2, rain: 9 }),
    ]);
    const listed = await ledger.awards(accountOf(mine[0]!));
    expect(listed.map((award) => award.orderNumber)).toEqual([2, 1, 0].map((at) => mine[at]!.orderNumber));
    const other = { actId: 1_000_007n as ActId, phaseKey: 2 as PhaseKey };
    expect(await ledger.award(other, mine[0]!.orderNumber)).toBeUndefined();
  });

  it('hands a piece out once, and lets it be used once', async () => {
    const piece = await credited({ person: 8 });
    expect(await dueBy(later(-1), piece[0])).toEqual([]);
    expect(await dueBy(NOW, piece[0])).toMatchObject([{ orderNumber: piece[1], state: 'granted' }]);
    expect(await ledger.markAsking(...piece)).toBe(true);
    expect(await ledger.markAsking(...piece)).toBe(true);
    await ledger.deferAward(...piece, { dueAtMs: later(500), reason: 'a time-out', again: false });
    expect(await ledger.award(...piece)).toMatchObject({ state: 'asking', tries: 1, reason: 'a time-out' });
    expect(await dueBy(later(499), piece[0])).toEqual([]);
    expect(await dueBy(later(500), piece[0])).toHaveLength(1);
    expect(await ledger.useAward(...piece, later(600))).toBeUndefined();
    const settled = await ledger.settleAward(...piece, { state: 'fulfilled', voucher: 'TEA-1' });
    expect(settled).toMatchObject({ state: 'fulfilled', voucher: 'TEA-1', tries: 2 });
    expect(settled).not.toHaveProperty('reason');
    expect(await ledger.settleAward(...piece, { state: 'fulfilled', voucher: 'TEA-2' })).toEqual(settled);
    expect(await dueBy(later(9_000), piece[0])).toEqual([]);
    const used = await ledger.useAward(...piece, later(700));
    expect(used).toMatchObject({ state: 'used', usedAtMs: later(700) });
    expect(await ledger.useAward(...piece, later(800))).toEqual(used);
    // What comes late changes nothing any more.
    expect(await ledger.markAsking(...piece)).toBe(false);
    await ledger.deferAward(...piece, { dueAtMs: later(1), reason: 'late', again: true });
    expect(await ledger.replayAward(...piece, later(1))).toBe(false);
    expect(await ledger.settleAward(...piece, { state: 'fulfilled' })).toEqual(used);
    await expect(ledger.settleAward(...piece, { state: 'dead', reason: 'no' })).rejects.toThrow(
      'I1 is broken',
    );
    expect(await ledger.award(...piece)).toEqual(used);
  });

  it('takes a piece back to be asked for anew, and an end that comes all the same counts', async () => {
    const piece = await credited({ person: 9 });
    await ledger.markAsking(...piece);
    await ledger.deferAward(...piece, { dueAtMs: later(5), reason: 'unheard of', again: true });
    expect(await stateOf(...piece)).toBe('granted');
    await ledger.settleAward(...piece, { state: 'fulfilled' });
    expect(await stateOf(...piece)).toBe('fulfilled');
    expect(await ledger.award(...piece)).not.toHaveProperty('voucher');
  });

  it('keeps dead letters in order, page by page, and asks what became of a replayed one', async () => {
    const pieces = await Promise.all([13, 11, 12, 14, 10].map((person) => credited({ person })));
    for (const piece of pieces) {
      await ledger.markAsking(...piece);
      await ledger.settleAward(...piece, { state: 'dead', reason: 'sold out' });
      await ledger.settleAward(...piece, { state: 'dead', reason: 'sold out, they say again' });
    }
    await expect(ledger.settleAward(...pieces[0]!, { state: 'fulfilled' })).rejects.toThrow('I1 is broken');
    const seen: OrderNumber[] = [];
    for (let after: OrderNumber | undefined; ; after = seen.at(-1)) {
      const page = await ledger.deadAwards(after, 2);
      seen.push(...page.map((award) => award.orderNumber));
      expect(page.every((award) => award.reason === 'sold out' && award.state === 'dead')).toBe(true);
      if (page.length < 2) break;
    }
    expect(seen).toEqual(pieces.map(([, orderNumber]) => orderNumber).sort());
    expect(await dueBy(later(9_000), pieces[0]![0])).toEqual([]);
    expect(await ledger.replayAward(...pieces[0]!, later(20))).toBe(true);
    expect(await ledger.replayAward(...pieces[0]!, later(30))).toBe(false);
    expect(await dueBy(later(20), pieces[0]![0])).toMatchObject([{ state: 'asking', tries: 0 }]);
    expect((await ledger.deadAwards(undefined, 9)).map((award) => award.orderNumber)).toEqual(
      seen.slice(0, 3).concat(seen[4]!),
    );
  });

  it('offers what has waited longest first, and no more than was asked for', async () => {
    const offsets = [-30_000, -50_000, -40_000];
    const pieces = await Promise.all(offsets.map((ms, at) => credited({ person: 20 + at, atMs: NOW + ms })));
    const due = await ledger.dueAwards(NOW, 2);
    expect(due.map((award) => award.orderNumber)).toEqual([pieces[1]![1], pieces[2]![1]]);
  });

  it('offers the pieces of some scenes without those of others', async () => {
    const all = await Promise.all(
      ['pie', 'cake', 'pie', 'jam'].map((scene, at) =>
        credited({ person: 40 + at, scene, atMs: NOW - 20_000 - at }),
      ),
    );
    // The same scene in another campaign is another one.
    const other = anOrder({
      person: 44,
      scene: 'pie',
      award: 'shop-coupon',
      phaseKey: 4,
      atMs: NOW - 30_000,
    });
    await ledger.credit([other]);
    const inPhase = (scene: string) => ({ phaseKey: 3 as PhaseKey, sceneId: scene as SceneId });
    const dueOf = async (limit: number, ...scenes: string[]) =>
      (await ledger.dueAwards(NOW, limit, scenes.map(inPhase))).map((award) => award.orderNumber);
    const [first, second, third] = all.map(([, orderNumber]) => orderNumber);
    expect(await dueOf(9, 'pie', 'cake')).toEqual([third, second, first]);
    expect(await dueOf(2, 'pie', 'cake')).toEqual([third, second]);
    const elsewhere = { ...inPhase('pie'), phaseKey: other.phaseKey };
    expect(await ledger.dueAwards(NOW, 9, [elsewhere])).toMatchObject([{ orderNumber: other.orderNumber }]);
    expect(await dueOf(9, 'nothing')).toEqual([]);
    expect(await dueOf(9)).toEqual([]);
  });

  it('lists what is due behind a moment, granted, claimed or put off, and nothing that has ended', async () => {
    const far = (ms: number): InstantMs => later(1_200_000 + ms);
    const behind = async (limit = 9) =>
      (await ledger.awardsDueBehind(far(0), limit)).map((award) => award.orderNumber);
    expect(await behind()).toEqual([]);
    const pieces = await Promise.all(
      [3, 0, 1].map((ms, at) => credited({ person: 70 + at, scene: 'plum', atMs: far(ms) })),
    );
    const [granted, , claimed] = pieces;
    const [here, putOff, ended] = await Promise.all([73, 74, 75].map((person) => credited({ person })));
    await ledger.markAsking(...claimed!, { dueAtMs: far(1), untilMs: far(2) });
    await ledger.deferAward(...putOff!, { dueAtMs: far(1), reason: 'not now', again: false });
    await ledger.deferAward(...ended!, { dueAtMs: far(9), reason: 'not now', again: false });
    await ledger.settleAward(...ended!, { state: 'fulfilled' });
    expect(await behind()).toEqual([putOff![1], claimed![1], granted![1]]);
    expect(await behind(2)).toEqual([putOff![1], claimed![1]]);
    // Made due at once, as whoever finds them does: they keep their state and their tries.
    for (const [account, orderNumber] of [granted!, claimed!, putOff!])
      await ledger.deferAward(account, orderNumber, { dueAtMs: NOW, reason: '', again: false, asked: false });
    expect(await behind()).toEqual([]);
    const due = await dueBy(NOW, ...[granted!, claimed!, putOff!, here!].map(([account]) => account));
    expect(
      Object.fromEntries(due.map(({ orderNumber, state, tries }) => [orderNumber, { state, tries }])),
    ).toEqual({
      [granted![1]]: { state: 'granted', tries: 0 },
      [claimed![1]]: { state: 'asking', tries: 0 },
      [putOff![1]]: { state: 'granted', tries: 1 },
      [here![1]]: { state: 'granted', tries: 0 },
    });
  });

  it('is claimed by one of those who saw it due', async () => {
    const [account, orderNumber] = await credited({ person: 50 });
    const claim = { dueAtMs: NOW, untilMs: later(5_000) };
    const claims = await Promise.all(
      Array.from({ length: 6 }, () => ledger.markAsking(account, orderNumber, claim)),
    );
    expect(claims.filter((taken) => taken)).toEqual([true]);
    expect(await dueBy(later(4_999), account)).toEqual([]);
    expect(await dueBy(later(5_000), account)).toMatchObject([{ state: 'asking', tries: 0 }]);
    // Nobody was asked: that is no try. Whoever saw the old due time comes too late.
    await ledger.deferAward(account, orderNumber, {
      dueAtMs: later(1),
      reason: 'the process stops',
      again: false,
      asked: false,
    });
    expect(await ledger.markAsking(account, orderNumber, claim)).toBe(false);
    expect(await dueBy(later(1), account)).toMatchObject([{ state: 'asking', tries: 0 }]);
  });

  it('lists what is on its way after many tries, and counts what is on its way', async () => {
    const before = await ledger.awardsOnTheirWay(NOW);
    const pieces = await Promise.all(
      [60, 61, 62].map((person) => credited({ person, atMs: NOW - 3_600_000 })),
    );
    for (const [at, [account, orderNumber]] of pieces.entries()) {
      await ledger.markAsking(account, orderNumber);
      for (let tries = 0; tries < 2 + at; tries += 1)
        await ledger.deferAward(account, orderNumber, {
          dueAtMs: later(60_000 * at),
          reason: 'it is being worked on',
          again: false,
        });
    }
    const stuck = async (triesMin: number, after?: OrderNumber) =>
      (await ledger.stuckAwards(triesMin, after, 9))
        .map((award) => award.orderNumber)
        .filter((orderNumber) => pieces.some((piece) => piece[1] === orderNumber));
    const [, second, third] = pieces.map(([, orderNumber]) => orderNumber);
    expect(await stuck(3)).toEqual([second, third]);
    expect(await stuck(3, second)).toEqual([third]);
    expect(await ledger.awardsOnTheirWay(NOW)).toEqual({
      count: before.count + 3,
      due: before.due + 1,
      oldestDrawnAtMs: NOW - 3_600_000,
    });
    for (const [account, orderNumber] of pieces)
      await ledger.settleAward(account, orderNumber, { state: 'fulfilled' });
    expect(await stuck(1)).toEqual([]);
    expect((await ledger.awardsOnTheirWay(NOW)).count).toBe(before.count);
  });

  it('knows no piece that was never credited', async () => {
    const { orderNumber, ...order } = aPiece({ person: 30 });
    const account = accountOf({ ...order, orderNumber });
    expect(await ledger.award(account, orderNumber)).toBeUndefined();
    expect(await ledger.markAsking(account, orderNumber)).toBe(false);
    expect(await ledger.useAward(account, orderNumber, NOW)).toBeUndefined();
    expect(await ledger.replayAward(account, orderNumber, NOW)).toBe(false);
    await expect(ledger.settleAward(account, orderNumber, { state: 'fulfilled' })).rejects.toThrow(
      'no piece',
    );
  });

  it('stays exact with several creditors and workers at once, cut off at random', async () => {
    const random = seeded(testSeed('pieces under fire'));
    const orders = Array.from({ length: 240 }, (_, at) =>
      at % 3 === 0
        ? anOrder({ person: 1_000 + (at % 40), rain: at + 1, slice: 700, index: at })
        : aPiece({ person: 1_000 + (at % 40), rain: at + 1, slice: 701 + (at % 2), fen: at % 5, index: at }),
    );
    const pieces = orders.filter((order) => order.awardType !== 'cash');
    const creditor = async () => {
      const mine = shuffled(orders, random);
      for (let at = 0; at < mine.length; at += 30)
        await untilAnswered(() => {
          const batch = mine.slice(at, at + 30);
          return at % 60 === 0 ? ledger.credit(batch) : ledger.creditUnlogged(batch);
        });
    };
    const givenBy = new Map<OrderNumber, string>();
    const worker = async (name: string) => {
      while (givenBy.size < pieces.length)
        for (const { account, orderNumber } of await untilAnswered(() =>
          ledger.dueAwards(later(1_000), 50),
        )) {
          if (account.actId < 1_001_000n) continue;
          if (!(await untilAnswered(() => ledger.markAsking(account, orderNumber)))) continue;
          if (random() < 0.3) {
            const next = { dueAtMs: NOW, reason: '', again: random() < 0.5 };
            await untilAnswered(() => ledger.deferAward(account, orderNumber, next));
            continue;
          }
          const end = { state: 'fulfilled', voucher: `${name} ${orderNumber}` } as const;
          const { voucher } = await untilAnswered(() => ledger.settleAward(account, orderNumber, end));
          // Whoever settles it again learns of the first voucher.
          expect(givenBy.get(orderNumber) ?? voucher).toBe(voucher);
          givenBy.set(orderNumber, voucher!);
        }
    };
    const cutting = new AbortController();
    const cut = cutConnections(engine, { everyMs: 25, random, signal: cutting.signal });
    await Promise.all([creditor(), creditor(), creditor(), worker('one'), worker('two')]);
    cutting.abort();
    await cut;
    expect(givenBy.size).toBe(pieces.length);
    for (const order of pieces)
      expect(await ledger.award(accountOf(order), order.orderNumber)).toMatchObject({
        state: 'fulfilled',
        worthFen: order.amountFen,
        voucher: givenBy.get(order.orderNumber),
      });
    const tallies = await Promise.all(
      [700n, 701n, 702n].map((sliceId) => ledger.sliceTally(3 as PhaseKey, sliceId as never)),
    );
    expect(tallies.map((tally) => tally.packets)).toEqual([80, 80, 80]);
    await assertBalanced();
  });
});
