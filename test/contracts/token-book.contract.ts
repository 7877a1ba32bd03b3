import { beforeEach, describe, expect, it } from 'vitest';
import type { TokenBook } from '../../src/engines/ports.ts';
import type { ActId, PhaseKey } from '../../src/vocabulary/ids.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { TOKEN_STATUS } from '../../src/vocabulary/token-status.ts';
import { anOrder, seeded, testSeed } from '../support/orders.ts';

const { outstanding, crediting, credited } = TOKEN_STATUS;
const LIVE = 3 as PhaseKey;
const person = (number: number) => BigInt(1_000_000 + number) as ActId;
const at = (sequence: number, leafIndex = 0) => ({ sequence, leafIndex });

/** What every engine of the TokenBook port does. */
export function tokenBookContract(name: string, make: () => TokenBook): void {
  describe(`${name} as a token book`, () => {
    let book: TokenBook;
    beforeEach(() => {
      book = make();
    });

    it('knows nothing of a stranger', async () => {
      expect(await book.outstandingOf(person(1), LIVE)).toEqual([]);
      expect(await book.winsOf(person(1), LIVE)).toEqual([]);
      await book.advance([anOrder({ person: 1 })], credited);
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

    it('keeps the first of two with one number', async () => {
      const order = anOrder({ person: 1, fen: 100 });
      await book.record([{ order, position: at(1) }]);
      await book.record([{ order: anOrder({ person: 1, fen: 999 }), position: at(2) }]);
      expect(await book.outstandingOf(person(1), LIVE)).toMatchObject([{ order: { amountFen: 100n } }]);
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

    it('agrees with a plain list after 20,000 random steps', async () => {
      const random = seeded(testSeed(`${name} against a list`));
      const below = (limit: number) => Math.floor(random() * limit);
      const list = new Map<
        string,
        { order: Order; position: { sequence: number; leafIndex: number }; status: number }
      >();
      for (let step = 1; step <= 20_000; step += 1) {
        const order = anOrder({ person: below(300), rain: 1 + below(4), scene: `s${below(3)}` });
        const kept = list.get(order.orderNumber);
        if (random() < 0.5) {
          await book.record([{ order, position: at(step) }]);
          if (!kept) list.set(order.orderNumber, { order, position: at(step), status: outstanding });
        } else {
          const status = random() < 0.5 ? crediting : credited;
          await book.advance([order], status);
          if (kept) kept.status = Math.max(kept.status, status);
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
