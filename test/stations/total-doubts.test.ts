import { describe, expect, it } from 'vitest';
import { createTokenBook } from '../../src/engines/embedded/token-book.ts';
import type { LedgerWallet } from '../../src/engines/ports.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { createDoubts } from '../../src/stations/9-total/doubts.ts';
import { anOrder } from '../support/orders.ts';

const order = anOrder({ person: 1 });
const position = { sequence: 5, leafIndex: 0 };

function rig() {
  const counted: string[] = [];
  const credited = new Set<string>();
  let isAway = false;
  const book = createTokenBook();
  const doubts = createDoubts({
    book,
    ledger: {
      wallet: async () => {
        if (isAway) throw new RetryableFault('ledger-unavailable', 'away', 1);
        return { credited } as unknown as LedgerWallet;
      },
    },
    onBug: (error) => {
      throw error;
    },
  });
  const note = () => doubts.note([{ order, position, count: () => counted.push(order.orderNumber) }]);
  const ask = async (times = 40) => {
    for (let at = 0; at < times; at += 1) await doubts.askOnce();
  };
  const away = (is: boolean): void => {
    isAway = is;
  };
  return { book, credited, counted, doubts, note, ask, away };
}

describe('a packet of which it is unknown whether it was given', () => {
  it('counts once the ledger has credited it, and not before; the book knows it then', async () => {
    const { doubts, note, ask, credited, counted, book, away } = rig();
    note();
    await ask();
    expect(counted).toEqual([]);
    credited.add(order.orderNumber);
    away(true);
    await ask();
    expect(doubts.open()).toBe(1);
    away(false);
    await ask(200);
    expect(counted).toEqual([order.orderNumber]);
    expect(doubts.open()).toBe(0);
    expect((await book.winsOf(order.actId, order.phaseKey))[0]?.position).toEqual(position);
    expect(await book.outstandingOf(order.actId, order.phaseKey)).toEqual([]);
    await doubts.stop();
  });

  it('does not count when somebody was told of it elsewhere: it was counted there', async () => {
    const { doubts, note, ask, credited, counted, book } = rig();
    note();
    await book.record([{ order, position: { sequence: 9, leafIndex: 3 } }]);
    credited.add(order.orderNumber);
    await ask();
    expect(counted).toEqual([]);
    expect(doubts.open()).toBe(0);
    await doubts.stop();
  });

  it('counts at once when the book has it from this very place of the log: it is not void, and counted nowhere', async () => {
    const { doubts, note, ask, counted, book } = rig();
    note();
    await book.record([{ order, position }]);
    await ask(1);
    expect(counted).toEqual([order.orderNumber]);
    await doubts.stop();
  });
});
