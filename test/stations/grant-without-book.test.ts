import { describe, expect, it } from 'vitest';
import { createTokenBook } from '../../src/engines/embedded/token-book.ts';
import type { TokenBook } from '../../src/engines/ports.ts';
import { isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import type { SceneId } from '../../src/vocabulary/ids.ts';
import { askOf, createGrantWorld, type GrantWorld } from '../support/grants.ts';
import { anOrder } from '../support/orders.ts';

const isAway = () => Promise.reject(new RetryableFault('book-unavailable', 'away, as the test has it', 1));
const AWAY = { takeTurn: isAway, record: async () => [] } as unknown as TokenBook;

/** Three gateways that have no book; the ledger has everything that stands in the log. */
function withoutBook(): GrantWorld {
  const world = createGrantWorld({ books: [AWAY, AWAY, AWAY] });
  world.setLedgerVouches(true);
  return world;
}

const capOf = (world: GrantWorld, packets: number): void => {
  Object.assign(world.campaign.scenes.get('first' as SceneId)!, { personPacketsMax: packets });
};

it('a cap holds at one gateway though its book is whole and was never told: the log is down', async () => {
  const book: TokenBook = { ...createTokenBook(), record: async () => [] };
  const world = createGrantWorld({ books: [book] });
  capOf(world, 2);
  const answers = [];
  for (let rain = 1; rain <= 4; rain += 1) answers.push(await askOf(world, { scene: 'first', rain }));
  expect(answers.filter((answer) => !isRefusal(answer))).toHaveLength(2);
});

describe('while the book is away', () => {
  it('a cap holds at one gateway by what it remembers itself, though the ledger knows nothing', async () => {
    const world = createGrantWorld();
    capOf(world, 2);
    world.setBookAway(true);
    for (const rain of [1, 2]) expect(isRefusal(await askOf(world, { scene: 'first', rain }))).toBe(false);
    expect(await askOf(world, { scene: 'first', rain: 3 })).toMatchObject({ refused: 'person-cap-reached' });
    expect(await askOf(world, { scene: 'first', rain: 1 })).toMatchObject({ replayed: true });
    expect(world.log).toHaveLength(2);
  });

  it('a cap holds over both gateways by what the ledger has, for somebody who goes to and fro', async () => {
    const world = withoutBook();
    capOf(world, 3);
    const answers = [];
    for (let rain = 1; rain <= 8; rain += 1)
      answers.push(await askOf(world, { scene: 'first', rain }, rain % 2));
    expect(answers.filter((answer) => !isRefusal(answer))).toHaveLength(3);
    expect(world.log).toHaveLength(3);
  });

  it('a cap counts what was won under every id', async () => {
    const world = withoutBook();
    capOf(world, 2);
    await askOf(world, { person: 2, scene: 'first', rain: 1 }, 0);
    await askOf(world, { person: 1, scene: 'first', rain: 2 }, 0);
    expect(await askOf(world, { person: 1, aliases: [2], scene: 'first', rain: 3 }, 1)).toMatchObject({
      refused: 'person-cap-reached',
    });
  });

  it('an ask that another gateway has answered is not answered anew, but later', async () => {
    const world = withoutBook();
    const first = await askOf(world, { scene: 'first' }, 0);
    await expect(askOf(world, { scene: 'first' }, 1)).rejects.toMatchObject({ kind: 'book-unavailable' });
    expect(await askOf(world, { scene: 'first' }, 0)).toMatchObject({ ...first, replayed: true });
    expect(world.log).toHaveLength(1);
    expect(world.stock.get('first')).toBe(999);
  });

  it('a consolation that another gateway has given is none on top of', async () => {
    const world = withoutBook();
    world.stock.set('first', 0);
    expect(await askOf(world, { scene: 'first' }, 0)).toMatchObject({ order: { sceneId: 'comfort' } });
    world.stock.set('first', 1);
    await expect(askOf(world, { scene: 'first' }, 1)).rejects.toMatchObject({ kind: 'book-unavailable' });
    expect(world.log).toHaveLength(1);
  });

  it('"nothing is left" is said when the ledger vouches that nothing was granted before', async () => {
    const world = withoutBook();
    world.stock.set('first', 0);
    world.stock.set('comfort', 0);
    expect(await askOf(world, { scene: 'first' }, 1)).toMatchObject({ refused: 'budget-exhausted' });
    world.setLedgerVouches(false);
    await expect(askOf(world, { scene: 'first' }, 1)).rejects.toMatchObject({ kind: 'book-unavailable' });
  });

  it('a packet that was opened at one gateway is sealed anew at the other, if it is the very same', async () => {
    const world = withoutBook();
    const order = anOrder({ person: 1, scene: 'cash' });
    await world.granter(0).grant(order);
    expect(await world.granter(1).grant(order)).toMatchObject({ order, replayed: true });
    expect(await world.granter(1).recall(order)).toMatchObject({ order, replayed: true });
    const other = { ...order, unit: { ...order.unit, index: order.unit.index + 1 } };
    expect(await world.granter(2).grant(other)).toMatchObject({ refused: 'order-conflict' });
    for (const one of world.log) expect(one).toEqual(order);
  });
});
