import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anOrder } from '../../test/support/orders.ts';
import type { ActId } from '../vocabulary/ids.ts';
import type { Order } from '../vocabulary/order.ts';
import { distinctOrders } from './credit-batch.ts';
import { certainlyDistinct, inKeyOrder, sliceSums } from './credit-sums.ts';

const order = fc
  .record({
    person: fc.integer({ min: 1, max: 12 }),
    rain: fc.integer({ min: 1, max: 12 }),
    phaseKey: fc.integer({ min: 1, max: 2 }),
    slice: fc.integer({ min: 1, max: 4 }),
    fen: fc.integer({ min: 1, max: 1_000_000 }),
    atMs: fc.integer({ min: 1_800_000_000_000, max: 1_800_000_000_100 }),
  })
  .map(anOrder);

const total = (orders: readonly { amountFen: bigint }[]) =>
  orders.reduce((sum, one) => sum + one.amountFen, 0n);

describe('what a batch comes to', () => {
  it('is per slice what its orders add up to, one by one', () => {
    fc.assert(
      fc.property(fc.array(order, { maxLength: 60 }), (orders) => {
        const slices = sliceSums(orders);
        for (const sum of slices) {
          const own = orders.filter(
            (one) => one.unit.sliceId === sum.sliceId && one.phaseKey === sum.phaseKey,
          );
          expect(sum).toMatchObject({ fen: total(own), orders: own.length });
          expect(sum.lastDrawnAtMs).toBe(Math.max(...own.map((one) => one.drawnAtMs)));
        }
        expect(new Set(slices.map((sum) => `${sum.sliceId} ${sum.phaseKey}`)).size).toBe(slices.length);
        expect(slices.reduce((sum, one) => sum + one.orders, 0)).toBe(orders.length);
      }),
    );
  });

  it('stands in the order of the keys, also where people are too large for a float', () => {
    const big = 2n ** 62n;
    const of = (actId: bigint): Order => ({ ...anOrder({ person: 1 }), actId: actId as ActId });
    const ids = [big + 1n, 3n, big, big + 2n, 1n].map(of);
    expect(inKeyOrder(ids).map((one) => one.actId)).toEqual([1n, 3n, big, big + 1n, big + 2n]);
    fc.assert(
      fc.property(fc.array(order, { maxLength: 60 }), (orders) => {
        const key = (one: Order) => `${one.actId} ${one.phaseKey} ${one.orderNumber}`;
        expect(inKeyOrder(orders).map(key)).toEqual(orders.map(key).sort());
      }),
    );
    const own = [12, 2, 1].map((rain) => anOrder({ person: 5, rain }));
    expect(inKeyOrder(own).map((one) => one.rainId)).toEqual([12, 1, 2]); // '2' stands before '_'
  });

  it('is only taken for distinct when it is', () => {
    fc.assert(
      fc.property(fc.array(order, { maxLength: 60 }), (orders) => {
        const { distinct } = distinctOrders(orders);
        if (certainlyDistinct(inKeyOrder(orders))) expect(distinct).toHaveLength(orders.length);
      }),
    );
    const once = [anOrder({ person: 1 }), anOrder({ person: 1, rain: 2 }), anOrder({ person: 2 })];
    expect(certainlyDistinct(inKeyOrder(once))).toBe(true);
    expect(certainlyDistinct(inKeyOrder([...once, anOrder({ person: 2, fen: 7 })]))).toBe(false);
    expect(certainlyDistinct(inKeyOrder([...once, anOrder({ person: 2, phaseKey: 9 })]))).toBe(false);
  });
});
