import fc from 'fast-check';
import { expect, it } from 'vitest';
import { anOrder, testSeed } from '../../../test/support/orders.ts';
import type { ActId, PhaseKey } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import { decodePending, decodeWins, PackedOrders, personBytes, personOf } from './book-codec.ts';

const LIVE = 3 as PhaseKey;
const RUNS = 100_000;
const INT32_MAX = 2 ** 31 - 1;

const anyOrder: fc.Arbitrary<Order> = fc
  .record({
    actId: fc.bigInt(1n, 2n ** 63n - 1n),
    rain: fc.integer({ min: 1, max: INT32_MAX }),
    fen: fc.bigInt(1n, 2n ** 53n - 1n),
    atMs: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    app: fc.integer({ min: 1, max: INT32_MAX }),
    sliceId: fc.bigInt(1n, 2n ** 63n - 1n),
    epoch: fc.integer({ min: 1, max: INT32_MAX }),
    index: fc.integer({ min: 0, max: INT32_MAX }),
    scene: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/),
    campaign: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/),
    insteadOf: fc.option(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/), { nil: undefined }),
  })
  .map((any) => {
    const order = anOrder({ person: 0, rain: any.rain, scene: any.scene, atMs: any.atMs });
    return {
      ...order,
      actId: any.actId as ActId,
      orderNumber: order.orderNumber.replace(/^[0-9]+/, String(any.actId)) as Order['orderNumber'],
      appId: any.app as Order['appId'],
      campaignId: any.campaign as Order['campaignId'],
      amountFen: any.fen as Order['amountFen'],
      unit: { sliceId: any.sliceId as Order['unit']['sliceId'], epoch: any.epoch, index: any.index },
      ...(any.insteadOf === undefined ? {} : { insteadOf: any.insteadOf as Order['sceneId'] }),
    };
  });
const anyPosition = fc.record({
  sequence: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
  leafIndex: fc.integer({ min: 0, max: 1_023 }),
});

/** A packed argument begins with the person; what is behind is what Redis keeps. */
function packed(order: Order, position: { sequence: number; leafIndex: number }) {
  const packer = new PackedOrders(1);
  packer.addEntry(order, position);
  const bytes = packer.bytes();
  const person = bytes.subarray(1, 1 + bytes[0]!);
  const pending = bytes.subarray(1 + bytes[0]!);
  return { person, pending, win: pending.subarray(0, 9 + pending[0]!) };
}

it('gives back every order, its place and its person as they were', () => {
  fc.assert(
    fc.property(anyOrder, anyPosition, (order, position) => {
      const { person, pending, win } = packed(order, position);
      expect(personOf(Buffer.from(person))).toBe(order.actId);
      expect(decodePending(pending, order.actId, LIVE)).toEqual([{ order, position, status: 1 }]);
      expect(decodeWins(win, order.actId)).toMatchObject([{ orderNumber: order.orderNumber, position }]);
    }),
    { numRuns: 2_000, seed: testSeed('orders through the book') },
  );
});

it('takes some 50 bytes for an order', () => {
  const order = anOrder({ person: 1, slice: 1_000, index: 999, fen: 8_888 });
  expect(packed(order, { sequence: 1_000_000, leafIndex: 63 }).pending.length).toBeLessThanOrEqual(56);
});

it('packs as many as there are, one behind the other', () => {
  const orders = Array.from({ length: 2_000 }, (_, person) => anOrder({ person, scene: 's'.repeat(32) }));
  const packer = new PackedOrders(1);
  for (const order of orders) packer.addEntry(order, { sequence: 1, leafIndex: 0 });
  const one = packed(orders[0]!, { sequence: 1, leafIndex: 0 });
  expect(packer.bytes().length).toBeGreaterThanOrEqual(orders.length * one.pending.length);
});

it('spreads people over as few bytes as they take', () => {
  expect([1n, 255n, 256n, 2n ** 63n - 1n].map((actId) => personBytes(actId as ActId).length)).toEqual([
    1, 1, 2, 8,
  ]);
});

it('meets any bytes with an order that has a number, or with the one error', () => {
  const real = packed(anOrder({ person: 1 }), { sequence: 7, leafIndex: 1 }).pending;
  const altered = fc
    .tuple(fc.nat(real.length - 1), fc.nat(255), fc.nat(real.length))
    .map(([at, value, end]) => {
      const bytes = Buffer.from(real);
      bytes[at] = value;
      return bytes.subarray(0, end);
    });
  const any = fc.uint8Array({ maxLength: 90 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(altered, any), (bytes) => {
      try {
        for (const { order } of decodePending(bytes, 1_000_001n as ActId, LIVE))
          if (!order.orderNumber.startsWith('1000001_')) return false;
        return true;
      } catch (error) {
        return (
          error instanceof Error && error.message === 'the book holds bytes that it can not have written'
        );
      }
    }),
    { numRuns: RUNS, seed: testSeed('any bytes as a book') },
  );
});

it('keeps a piece that is worth nothing, and takes money without an amount for bytes that no book wrote', () => {
  const position = { sequence: 7, leafIndex: 1 };
  const nothing = (order: Order) => packed({ ...order, amountFen: 0n as Order['amountFen'] }, position);
  const piece = anOrder({ person: 1, award: 'greeting' });
  expect(decodePending(nothing(piece).pending, piece.actId, LIVE)).toMatchObject([
    { order: { awardType: 'greeting', amountFen: 0n } },
  ]);
  const money = anOrder({ person: 1 });
  expect(() => decodePending(nothing(money).pending, money.actId, LIVE)).toThrow('can not have written');
});
