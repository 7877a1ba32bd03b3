import { describe, expect, it } from 'vitest';
import { anOrder } from '../../test/support/orders.ts';
import type { Account, CreditedOrder, KnownWins, LogSequence } from '../engines/ports.ts';
import { RetryableFault } from '../protocol/failures.ts';
import { bucketOf } from '../vocabulary/bucket.ts';
import { createCreditedWins } from './credited-wins.ts';

const unanswered = () => Promise.reject(new RetryableFault('log-unavailable', 'away, as the test has it', 1));
const order = anOrder({ person: 1 });
const win = {
  orderNumber: order.orderNumber,
  sceneId: order.sceneId,
  rainId: order.rainId,
  content: expect.objectContaining({ amountFen: order.amountFen, unit: order.unit }),
};

/** Buckets whose logs end at 7; the ledger has credited one order of person 1. */
function world(buckets = 1) {
  const asked = { end: 0, accounts: [] as (readonly Account[])[] };
  const state = {
    nowMs: 0,
    isLogUp: true,
    endNow: async (): Promise<LogSequence> => 7,
    untilDrained: async (_: LogSequence, __: AbortSignal): Promise<void> => {},
    orders: async (accounts: readonly Account[]): Promise<(readonly CreditedOrder[])[]> =>
      accounts.map(({ actId }) => (actId === order.actId ? [order] : [])),
  };
  const log = {
    health: () => ({ accepting: state.isLogUp }),
    endNow() {
      asked.end += 1;
      return state.endNow();
    },
    untilDrained: (sequence: LogSequence, signal: AbortSignal) => state.untilDrained(sequence, signal),
  };
  const wins = createCreditedWins({
    logs: Array.from({ length: buckets }, () => log),
    ledger: {
      creditedOrdersOf(accounts) {
        asked.accounts.push(accounts);
        return state.orders(accounts);
      },
    },
    monotonicMs: () => state.nowMs,
    patienceMs: 30,
  });
  const of = (person: number, book: KnownWins = { wins: [], isAll: false }) => {
    const { actId, phaseKey } = anOrder({ person });
    return wins.beside(actId, phaseKey, book);
  };
  return { asked, state, of };
}

const neverDrained = (_: LogSequence, signal: AbortSignal): Promise<void> =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

describe('what the ledger says that somebody has won', () => {
  it('is all there is once everything is credited that stood in the log when it was asked', async () => {
    const { state, of } = world();
    let drained = (): void => {};
    const waitedFor: LogSequence[] = [];
    state.untilDrained = (sequence) => {
      waitedFor.push(sequence);
      return new Promise((resolve) => {
        drained = resolve;
      });
    };
    const answer = of(1);
    await new Promise(setImmediate);
    drained();
    expect(await answer).toEqual({ wins: [win], isAll: true });
    expect(waitedFor).toEqual([7]);
    state.untilDrained = async () => {};
    expect(await of(2)).toEqual({ wins: [], isAll: true });
  });

  it('is not all there is, and soon said, while crediting is held back; and that is not waited for again so soon', async () => {
    const { asked, state, of } = world();
    state.untilDrained = neverDrained;
    expect(await of(1)).toEqual({ wins: [win], isAll: false });
    expect(await of(2)).toEqual({ wins: [], isAll: false });
    expect(asked.end).toBe(1);
    state.nowMs = 1_000;
    state.untilDrained = async () => {};
    expect(await of(1)).toEqual({ wins: [win], isAll: true });
  });

  it('is not all there is while the log is away', async () => {
    const { state, of } = world();
    state.endNow = unanswered;
    expect(await of(1)).toEqual({ wins: [win], isAll: false });
  });

  it('is nothing while the ledger is away, or does not answer', async () => {
    const { state, of } = world();
    state.orders = unanswered;
    expect(await of(1)).toEqual({ wins: [], isAll: false });
    state.orders = () => new Promise(() => {});
    expect(await of(1)).toEqual({ wins: [], isAll: false });
  });

  it('is asked of log and ledger together by all who ask at the same moment', async () => {
    const { asked, of } = world();
    await Promise.all([1, 2, 3].map((person) => of(person)));
    expect(asked.end).toBe(1);
    expect(asked.accounts).toHaveLength(1);
    expect(asked.accounts[0]).toHaveLength(3);
  });

  it('is asked of each bucket apart: a shard that is away keeps nobody else waiting', async () => {
    const { asked, state, of } = world(2);
    const [there, away] = [anOrder({ person: 1 }), anOrder({ person: 2 })].map(({ actId }) =>
      bucketOf(actId, 2),
    );
    expect(there).not.toBe(away);
    const answer = state.orders;
    state.orders = (accounts) =>
      accounts.some(({ actId }) => bucketOf(actId, 2) === away) ? unanswered() : answer(accounts);
    expect(await Promise.all([of(1), of(2)])).toEqual([
      { wins: [win], isAll: true },
      { wins: [], isAll: false },
    ]);
    expect(asked.accounts).toHaveLength(2);
  });

  it('is not asked for while the book vouches', async () => {
    const { asked, of } = world();
    const book = { wins: [], isAll: true };
    expect(await of(1, book)).toBe(book);
    expect(asked).toEqual({ end: 0, accounts: [] });
  });

  it('is needed beside a whole book while the log is down, and behind what the book says itself', async () => {
    const { asked, state, of } = world();
    state.isLogUp = false;
    const placed = { orderNumber: order.orderNumber, sceneId: order.sceneId, rainId: order.rainId };
    const [theSame, other] = [
      placed,
      { ...placed, orderNumber: anOrder({ person: 1, rain: 9 }).orderNumber },
    ].map((one) => ({ ...one, position: { sequence: 3, leafIndex: 0 } }));
    expect(await of(1, { wins: [other!], isAll: true })).toEqual({ wins: [other, win], isAll: true });
    expect(await of(1, { wins: [theSame!], isAll: true })).toEqual({ wins: [theSame], isAll: true });
    expect(asked.end).toBe(0);
    state.orders = unanswered;
    expect(await of(1, { wins: [other!], isAll: true })).toEqual({ wins: [other], isAll: true });
  });

  it('is needed for a while after the log was down: what went without it is not replayed yet', async () => {
    const { state, of } = world();
    const book = { wins: [], isAll: true };
    state.isLogUp = false;
    await of(2, book);
    state.isLogUp = true;
    state.nowMs = 9_999;
    expect(await of(1, book)).toEqual({ wins: [win], isAll: true });
    state.nowMs = 10_000;
    expect(await of(1, book)).toBe(book);
  });

  it('does not hide a mistake', async () => {
    const { state, of } = world();
    state.orders = () => Promise.reject(new Error('a mistake'));
    await expect(of(1)).rejects.toThrow('a mistake');
    state.endNow = () => Promise.reject(new Error('another'));
    await expect(of(1)).rejects.toThrow('another');
  });
});
