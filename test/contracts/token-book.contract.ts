import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TokenBook } from '../../src/engines/ports.ts';
import type { ActId, PhaseKey } from '../../src/vocabulary/ids.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { TOKEN_STATUS } from '../../src/vocabulary/token-status.ts';
import { anOrder, seeded, testSeed } from '../support/orders.ts';

const { outstanding, crediting, credited } = TOKEN_STATUS;
const LIVE = 3 as PhaseKey;
const person = (number: number) => BigInt(1_000_000 + number) as ActId;
const at = (sequence: number, leafIndex = 0) => ({ sequence, leafIndex });

export interface TokenBookEngine {
  readonly name: string;
  /** Before the first test. */
  start?(): Promise<void>;
  /** An empty book. */
  make(): Promise<TokenBook>;
  /** What another process has in hand of the same book, where there are several; its turns last for so long, in ms. */
  beside?(turnMs: number): TokenBook;
  stop?(): Promise<void>;
  /** How many orders are noted or moved on at random; fewer where each costs a round trip. */
  readonly randomMoves: number;
}

/** What every engine of the TokenBook port does. */
export function tokenBookContract(engine: TokenBookEngine): void {
  const { name } = engine;
  describe(`${name} as a token book`, () => {
    let book: TokenBook;
    beforeAll(() => engine.start?.());
    beforeEach(async () => {
      book = await engine.make();
    });
    afterAll(() => engine.stop?.());

    it('knows nothing of a stranger', async () => {
      expect(await book.outstandingOf(person(1), LIVE)).toEqual([]);
      expect(await book.winsOf(person(1), LIVE)).toEqual([]);
      await book.advance([anOrder({ person: 1 })], credited);
      expect(await book.outstandingCount()).toBe(0);
    });

    it('takes nothing, and does nothing with it', async () => {
      await book.record([]);
      await book.advance([], credited);
      expect(await book.outstandingCount()).toBe(0);
    });

    it('notes an order as outstanding with all that it says and where it stands', async () => {
      const order = anOrder({ person: 1, rain: 2, fen: 8_888, slice: 77, index: 5, scene: 'night-1' });
      await book.record([{ order, position: at(7, 3) }]);
      expect(await book.outstandingOf(person(1), LIVE)).toEqual([
        { order, position: at(7, 3), status: outstanding },
      ]);
      expect(await book.winsOf(person(1), LIVE)).toEqual([
        { orderNumber: order.orderNumber, sceneId: 'night-1', rainId: 2, position: at(7, 3) },
      ]);
    });

    it('tells which orders it notes for the first time, also of those that come together, and in two phases', async () => {
      const [first, second] = [anOrder({ person: 1 }), anOrder({ person: 2 })];
      const elsewhere = { ...anOrder({ person: 1 }), phaseKey: (LIVE + 1) as PhaseKey };
      const noted = (orders: readonly Order[]) =>
        book.record(orders.map((order, leafIndex) => ({ order, position: at(7, leafIndex) })));
      expect(await noted([first])).toEqual([first]);
      expect(new Set(await noted([first, second, elsewhere, second]))).toEqual(new Set([second, elsewhere]));
      await book.advance([first], credited);
      expect(await noted([first, second])).toEqual([]);
    });

    it('notes a piece as it notes money, also one that is worth nothing', async () => {
      const [ticket, luck] = [
        anOrder({ person: 2, award: 'cinema-ticket', fen: 4_000 }),
        anOrder({ person: 2, award: 'greeting', fen: 0 }),
      ];
      await book.record([ticket, luck].map((order, leafIndex) => ({ order, position: at(8, leafIndex) })));
      expect((await book.outstandingOf(person(2), LIVE)).map((entry) => entry.order)).toEqual([ticket, luck]);
      await book.advance([luck], credited);
      expect((await book.outstandingOf(person(2), LIVE)).map((entry) => entry.order)).toEqual([ticket]);
      expect(await book.winsOf(person(2), LIVE)).toHaveLength(2);
    });

    it('notes an order whose every part is as large as it may be', async () => {
      const largest = anOrder({ person: 0 });
      const actId = (2n ** 63n - 1n) as ActId;
      const name = 'z'.repeat(32);
      const order = {
        ...largest,
        actId,
        appId: (2 ** 31 - 1) as Order['appId'],
        campaignId: name as Order['campaignId'],
        phaseId: name as Order['phaseId'],
        phaseKey: (2 ** 31 - 1) as PhaseKey,
        sceneId: name as Order['sceneId'],
        rainId: (2 ** 31 - 1) as Order['rainId'],
        amountFen: (2n ** 53n - 1n) as Order['amountFen'],
        drawnAtMs: (2 ** 53 - 1) as Order['drawnAtMs'],
        unit: {
          sliceId: (2n ** 63n - 1n) as Order['unit']['sliceId'],
          epoch: 2 ** 31 - 1,
          index: 2 ** 31 - 1,
        },
        orderNumber: `${actId}_${name}_${2 ** 31 - 1}_cash_${name}` as Order['orderNumber'],
      };
      const position = at(2 ** 47, 1_023);
      await book.record([{ order, position }]);
      expect(await book.outstandingOf(actId, order.phaseKey)).toEqual([
        { order, position, status: outstanding },
      ]);
      await book.advance([order], credited);
      expect(await book.outstandingOf(actId, order.phaseKey)).toEqual([]);
    });

    it('keeps the first of two with one number', async () => {
      const order = anOrder({ person: 1, fen: 100 });
      const other = anOrder({ person: 1, fen: 999 });
      await book.record([
        { order, position: at(1) },
        { order: other, position: at(1, 1) },
      ]);
      await book.record([{ order: other, position: at(2) }]);
      expect(await book.outstandingOf(person(1), LIVE)).toMatchObject([{ order: { amountFen: 100n } }]);
      expect(await book.outstandingCount()).toBe(1);
      await book.advance([order], credited);
      await book.record([{ order, position: at(3) }]);
      expect(await book.outstandingOf(person(1), LIVE)).toEqual([]);
      expect(await book.outstandingCount()).toBe(0);
    });

    it('moves tokens 1 → 2 → 8 and never back; a credited one stays a win', async () => {
      const order = anOrder({ person: 1 });
      const statuses = async () => (await book.outstandingOf(person(1), LIVE)).map((entry) => entry.status);
      await book.record([{ order, position: at(1) }]);
      await book.advance([order], crediting);
      expect(await statuses()).toEqual([crediting]);
      await book.advance([order], outstanding);
      expect(await statuses()).toEqual([crediting]);
      await book.advance([order, order], credited);
      await book.advance([order], crediting);
      expect(await statuses()).toEqual([]);
      expect(await book.winsOf(person(1), LIVE)).toHaveLength(1);
    });

    it('tells apart the orders of one person whose numbers begin alike', async () => {
      const orders = [
        anOrder({ person: 1, rain: 1 }),
        anOrder({ person: 1, rain: 11 }),
        anOrder({ person: 1, rain: 1, scene: 'cash-1' }),
      ];
      await book.record(orders.map((order, index) => ({ order, position: at(1, index) })));
      await book.advance([orders[1]!], credited);
      expect((await book.outstandingOf(person(1), LIVE)).map(({ order }) => order)).toEqual([
        orders[0],
        orders[2],
      ]);
      expect(await book.winsOf(person(1), LIVE)).toHaveLength(3);
    });

    it('keeps people and phases apart', async () => {
      const rehearsal = anOrder({ person: 1, phase: 'gray', phaseKey: 2 });
      const live = anOrder({ person: 1 });
      const other = anOrder({ person: 2 });
      await book.record([rehearsal, live, other].map((order, index) => ({ order, position: at(1, index) })));
      await book.advance([rehearsal], credited);
      expect(await book.outstandingOf(person(1), 2 as PhaseKey)).toEqual([]);
      expect(await book.outstandingOf(person(1), LIVE)).toHaveLength(1);
      expect(await book.winsOf(person(2), LIVE)).toHaveLength(1);
    });

    it('gives a person’s wins with their turn, as often as its own process asks', async () => {
      const order = anOrder({ person: 1 });
      const first = await book.takeTurn(person(1), LIVE);
      expect(first).toMatchObject({ wins: [] });
      expect(first!.lasts()).toBe(true);
      first!.endsWith(order.orderNumber);
      await book.record([{ order, position: at(1) }]);
      first!.giveBack();
      const second = await book.takeTurn(person(1), LIVE);
      expect(second!.wins).toEqual(await book.winsOf(person(1), LIVE));
      expect(second).toMatchObject({ wins: { length: 1 }, isAll: await book.isWhole(person(1)) });
      expect(await book.takeTurn(person(1), LIVE)).toMatchObject({ wins: second!.wins });
      expect(await book.winsOf(person(1), LIVE)).toHaveLength(1);
      second!.giveBack();
      second!.giveBack();
      expect(await book.outstandingCount()).toBe(1);
    });

    it('takes the turns of a thousand at once, and gives each of them their own wins', async () => {
      const orders = Array.from({ length: 1_000 }, (_, number) => anOrder({ person: number }));
      await book.record(orders.map((order, index) => ({ order, position: at(1, index) })));
      const turns = await Promise.all(orders.map(({ actId }) => book.takeTurn(actId, LIVE)));
      expect(turns.map((turn) => turn!.wins.map((win) => win.orderNumber))).toEqual(
        orders.map((order) => [order.orderNumber]),
      );
    });

    if (engine.beside) personTurnsContract(() => book, engine.beside);

    it('takes a batch of 3,000 at once, and gives each back to whom it belongs', async () => {
      const orders = Array.from({ length: 3_000 }, (_, number) => anOrder({ person: number }));
      await book.record(orders.map((order, index) => ({ order, position: at(9, index) })));
      expect(await book.outstandingCount()).toBe(3_000);
      const all = await Promise.all(orders.map(({ actId }) => book.outstandingOf(actId, LIVE)));
      expect(all.map((entries) => entries.map(({ order }) => order))).toEqual(orders.map((order) => [order]));
      await book.advance(orders, credited);
      expect(await book.outstandingCount()).toBe(0);
    });

    it(`agrees with a plain list after ${engine.randomMoves} random moves`, async () => {
      const random = seeded(testSeed(`${name} against a list`));
      const below = (limit: number) => Math.floor(random() * limit);
      const list = new Map<
        string,
        { order: Order; position: { sequence: number; leafIndex: number }; status: number }
      >();
      for (let step = 1, moves = 0; moves < engine.randomMoves; step += 1) {
        const orders = Array.from({ length: 1 + below(19) }, () =>
          anOrder({ person: below(300), rain: 1 + below(4), scene: `s${below(3)}`, fen: 1 + below(99_999) }),
        );
        moves += orders.length;
        if (random() < 0.5) {
          const entries = orders.map((order, index) => ({ order, position: at(step, index) }));
          await book.record(entries);
          for (const entry of entries)
            if (!list.has(entry.order.orderNumber))
              list.set(entry.order.orderNumber, { ...entry, status: outstanding });
        } else {
          const status = random() < 0.5 ? crediting : credited;
          await book.advance(orders, status);
          for (const order of orders) {
            const kept = list.get(order.orderNumber);
            if (kept) kept.status = Math.max(kept.status, status);
          }
        }
      }
      const all = [...list.values()];
      for (let number = 0; number < 300; number += 1) {
        const mine = all.filter((one) => one.order.actId === person(number));
        expect(await book.outstandingOf(person(number), LIVE)).toEqual(
          mine.filter((one) => one.status !== credited),
        );
        expect((await book.winsOf(person(number), LIVE)).map((win) => win.orderNumber)).toEqual(
          mine.map((one) => one.order.orderNumber),
        );
      }
      expect(await book.outstandingCount()).toBe(all.filter((one) => one.status !== credited).length);
    });
  });
}

const LONG_MS = 120_000;
const BRIEF_MS = 300;

/** What holds between the processes of a cluster. */
function personTurnsContract(book: () => TokenBook, beside: (turnMs: number) => TokenBook): void {
  /** The others' turns last long, so that a slow machine is not taken for a dead process. */
  const takeFor = (turnMs: number, phaseKey = LIVE) => beside(turnMs).takeTurn(person(1), phaseKey);
  const order = anOrder({ person: 1 });

  it('lets nobody else have a turn before it is given back, and then at once', async () => {
    const first = await takeFor(LONG_MS);
    const events: string[] = [];
    const second = takeFor(LONG_MS).then((turn) => {
      events.push('the second has it');
      return turn;
    });
    await takeFor(LONG_MS, 2 as PhaseKey);
    await beside(LONG_MS).takeTurn(person(2), LIVE);
    events.push('the first gives it back');
    first!.giveBack();
    expect(await second).toMatchObject({ wins: [] });
    expect(events).toEqual(['the first gives it back', 'the second has it']);
  });

  it('ends a turn with the note of its order, in the same call', async () => {
    const first = beside(LONG_MS);
    const turn = await first.takeTurn(person(1), LIVE);
    turn!.endsWith(order.orderNumber);
    await first.record([{ order: anOrder({ person: 1, rain: 9 }), position: at(1) }]);
    const second = takeFor(LONG_MS);
    await first.record([{ order, position: at(1, 1) }]);
    expect((await second)!.wins.map((win) => win.orderNumber)).toContain(order.orderNumber);
  });

  it('does not end the turn of the next when one is given back late, or again', async () => {
    const [first, second] = [beside(BRIEF_MS), beside(LONG_MS)];
    const lost = await first.takeTurn(person(1), LIVE);
    const held = await second.takeTurn(person(1), LIVE);
    lost!.endsWith(order.orderNumber);
    await first.record([{ order, position: at(1) }]);
    lost!.giveBack();
    const own = await second.takeTurn(person(1), LIVE);
    held!.giveBack();
    expect(await book().takeTurn(person(1), LIVE)).toBeUndefined();
    own!.giveBack();
    expect(await takeFor(LONG_MS)).toMatchObject({ wins: [{ orderNumber: order.orderNumber }] });
  });

  it('takes it from a process that died, once its time is over', async () => {
    const fromMs = performance.now();
    const dead = await takeFor(BRIEF_MS);
    expect(await takeFor(LONG_MS)).toBeDefined();
    // The server's clock and ours may tick apart a little.
    expect(performance.now() - fromMs).toBeGreaterThan(BRIEF_MS * 0.9);
    expect(dead!.lasts()).toBe(false);
  });

  it('says so when another process has it for too long', async () => {
    await takeFor(LONG_MS);
    expect(await book().takeTurn(person(1), LIVE)).toBeUndefined();
  });
}
