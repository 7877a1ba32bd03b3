import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Ledger } from '../../src/engines/ports.ts';
import { BrokenInvariant, RetryableFault } from '../../src/protocol/failures.ts';
import type { Creditor, CreditorOptions } from '../../src/stations/5-credit/creditor.ts';
import type { SliceId } from '../../src/vocabulary/ids.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { batchOf } from '../support/batches.ts';
import { anOrder, seeded, testSeed } from '../support/orders.ts';
import { ledgerFaults, type Promises, type Rig, startRig, testClock, until } from '../support/rig.ts';
import { creditorOver } from '../support/stations.ts';

const clock = testClock();
const sliceOf = (slice: number) => BigInt(slice) as SliceId;

describe('crediting', () => {
  let rig: Rig;
  let promises: Promises;
  let fatal: unknown[];
  let tests = 0;
  let people = 0;

  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    tests += 1;
    fatal = [];
    promises = await rig.journal(`credit-${tests}`);
    return () => promises.log.close();
  });

  /** Orders of people nobody had before: tests share the ledger. */
  const newOrders = (count: number, slice = 1): Order[] =>
    Array.from({ length: count }, () => {
      people += 1;
      return anOrder({ person: people, slice, fen: 1 + (people % 9) });
    });
  const promise = async (orders: readonly Order[], perRecord = 64): Promise<number> => {
    let sequence = 0;
    for (let at = 0; at < orders.length; at += perRecord) {
      sequence = await promises.promise(orders.slice(at, at + perRecord));
    }
    return sequence;
  };
  const creditor = (more: Partial<CreditorOptions> = {}): Creditor =>
    creditorOver(promises, rig.ledger, clock, { onFatal: (error) => fatal.push(error), ...more });
  const balance = async (order: Order) => (await rig.ledger.wallet(order, [])).balanceFen;
  const conserved = (status: ReturnType<Creditor['status']>): boolean =>
    status.acceptedOrders ===
    status.inHandOrders + Object.values(status.outcomes).reduce((sum, count) => sum + count, 0);
  const without = (faulty: Partial<Ledger>): Ledger => ({ ...rig.ledger, ...faulty });

  it('brings every promised order into the ledger once, and empties the overlay', async () => {
    const orders = newOrders(3_210);
    const last = await promise(orders);
    const crediting = creditor();
    crediting.start();
    await promises.drainedTo(last);
    expect(crediting.status()).toEqual({
      drained: last,
      end: last,
      acceptedOrders: 3_210,
      inHandOrders: 0,
      outcomes: { credited: 3_210, 'already-credited': 0, conflicting: 0, void: 0 },
    });
    const later = newOrders(1);
    await promises.drainedTo(await promise(later));
    expect(await balance(later[0]!)).toBe(later[0]!.amountFen);
    await crediting.stop();
    expect(await ledgerFaults(rig.pool)).toEqual([]);
  });

  it('credits pieces and money of the same batch, pieces into no balance', async () => {
    const orders = newOrders(40, 2).map((order, at) =>
      at % 2 === 0
        ? order
        : anOrder({
            person: people - 39 + at,
            slice: 3,
            fen: at % 4 === 1 ? 0 : 500,
            award: 'avatar-pendant',
          }),
    );
    const last = await promise([...orders, ...orders]);
    const crediting = creditor();
    crediting.start();
    await promises.drainedTo(last);
    await crediting.stop();
    expect(crediting.status().outcomes).toMatchObject({ credited: 40, 'already-credited': 40 });
    expect(await promises.book.outstandingCount()).toBe(0);
    for (const order of orders) {
      const isPiece = order.awardType !== 'cash';
      expect(await balance(order)).toBe(isPiece ? 0n : order.amountFen);
      expect(await rig.ledger.awards(order)).toMatchObject(
        isPiece ? [{ state: 'granted', worthFen: order.amountFen }] : [],
      );
    }
    expect(await ledgerFaults(rig.pool)).toEqual([]);
  });

  it('goes no faster than it is allowed; a change takes effect at once, and what waits can be seen', async () => {
    const orders = newOrders(2_000);
    const last = await promise(orders);
    const crediting = creditor();
    crediting.setRate(0);
    crediting.start();
    await until(() => crediting.status().inHandOrders > 0, 'a batch is in hand');
    expect(crediting.status()).toMatchObject({ drained: 0 });
    expect(await promises.book.outstandingCount()).toBe(2_000);

    const startMs = performance.now();
    crediting.setRate(1_000);
    await until(() => crediting.status().outcomes.credited >= 300, '300 orders are credited');
    const tookMs = performance.now() - startMs;
    const { outcomes } = crediting.status();
    expect(outcomes.credited).toBeLessThanOrEqual(tookMs + 1);

    crediting.setRate(0.001);
    const before = crediting.status().outcomes.credited;
    crediting.setRate(undefined);
    await promises.drainedTo(last);
    expect(performance.now() - startMs).toBeLessThan(1_990);
    expect(before).toBeLessThan(2_000);
    expect(crediting.rate()).toBeUndefined();
    expect(() => crediting.setRate(Number.NaN)).toThrow(RangeError);
    await crediting.stop();
  });

  it('voids what stands behind its slice’s fence, counts what stands before it, also after a restart', async () => {
    const [before, behind, other] = [newOrders(5, 7), newOrders(3, 7), newOrders(2, 8)];
    await promise(before);
    const fence = await promises.log.appendFence({ sliceId: sliceOf(7), epoch: 1 });
    const first = creditor();
    first.start();
    await promises.drainedTo(fence);
    await first.stop();
    await promises.log.close();

    promises = await rig.journal(`credit-${tests}`);
    expect(promises.log.drained()).toBe(fence);
    const last = await promise([...behind, ...other]);
    const second = creditor();
    second.start();
    await promises.drainedTo(last);
    expect(await promises.book.outstandingCount()).toBe(0);
    expect(second.status()).toMatchObject({ outcomes: { credited: 2, void: 3 } });
    await second.stop();
    expect(await balance(before[0]!)).toBe(before[0]!.amountFen);
    expect(await balance(behind[0]!)).toBe(0n);
  });

  it('does not void an order that stands before a fence that is known already', async () => {
    const orders = newOrders(5, 9);
    await promise(orders);
    await promises.log.appendFence({ sliceId: sliceOf(9), epoch: 1 });
    await promises.log.close();
    // Nothing was drained: the scan tells of the fence before crediting has come to the orders.
    promises = await rig.journal(`credit-${tests}`);
    expect(promises.fences.has(sliceOf(9))).toBe(true);
    const crediting = creditor();
    crediting.start();
    await promises.drainedTo(promises.log.end());
    expect(crediting.status().outcomes).toMatchObject({ credited: 5, void: 0 });
    await crediting.stop();
  });

  it('leaves an order of a void one’s number alone that was granted from another slice', async () => {
    const [order] = newOrders(1, 10);
    await promises.log.appendFence({ sliceId: sliceOf(10), epoch: 1 });
    const again = { ...order!, unit: { ...order!.unit, sliceId: sliceOf(11) } };
    await promises.log.append(batchOf([order!]));
    const last = await promise([again]);
    const crediting = creditor({ batchOrdersMax: 1 });
    crediting.setRate(0);
    crediting.start();
    await promises.drainedTo(last - 1);
    expect(await promises.book.outstandingCount()).toBe(1);
    expect(crediting.status()).toMatchObject({ outcomes: { credited: 0, void: 1 } });
    crediting.setRate(undefined);
    await promises.drainedTo(last);
    expect(await promises.book.outstandingCount()).toBe(0);
    expect(crediting.status()).toMatchObject({ outcomes: { credited: 1, void: 1 } });
    await crediting.stop();
  });

  it('tells repeats and conflicts apart, and moves nothing for either', async () => {
    const orders = newOrders(4);
    await promise(orders);
    const forged = { ...orders[0]!, amountFen: (orders[0]!.amountFen + 1n) as Order['amountFen'] };
    const last = await promise([orders[1]!, forged]);
    const crediting = creditor();
    crediting.start();
    await promises.drainedTo(last);
    expect(crediting.status().outcomes).toEqual({
      credited: 4,
      'already-credited': 1,
      conflicting: 1,
      void: 0,
    });
    expect(await balance(orders[0]!)).toBe(orders[0]!.amountFen);
    await crediting.stop();
  });

  it('waits out a ledger that is gone, as long as it takes, and says so meanwhile', async () => {
    const last = await promise(newOrders(100));
    let failures = 20;
    const crediting = creditor({
      ledger: without({
        credit: async (orders) => {
          failures -= 1;
          if (failures === 10) await rig.ledger.credit(orders);
          if (failures > 0) throw new RetryableFault('ledger-unavailable', 'the ledger is away', 1);
          return rig.ledger.credit(orders);
        },
      }),
      random: () => 0,
    });
    crediting.start();
    await until(() => crediting.status().stalledBecause === 'the ledger is away', 'the stall is seen');
    failures = 11;
    await promises.drainedTo(last);
    const status = crediting.status();
    // The answer of a credit that was done got lost: it counts as a repeat, and is in the ledger once.
    expect(status).toMatchObject({ outcomes: { 'already-credited': 100 }, inHandOrders: 0 });
    expect(status.stalledBecause).toBeUndefined();
    expect(await ledgerFaults(rig.pool)).toEqual([]);
    await crediting.stop();
  });

  it('stops for good at a broken invariant and tells the process once', async () => {
    await promise(newOrders(5_000));
    const broken = new BrokenInvariant('I6', 'for the test');
    const crediting = creditor({ ledger: without({ credit: () => Promise.reject(broken) }) });
    crediting.start();
    await until(() => fatal.length > 0, 'the process is told');
    await crediting.stop();
    expect(fatal).toEqual([broken]);
    expect(promises.log.drained()).toBe(0);
  });

  it('acknowledges in order when a later batch is done first', async () => {
    const last = await promise(newOrders(200), 50);
    const gate = { open: () => {} };
    const opened = new Promise<void>((resolve) => {
      gate.open = resolve;
    });
    let calls = 0;
    const crediting = creditor({
      batchOrdersMax: 50,
      ledger: without({
        credit: async (orders) => {
          calls += 1;
          if (calls === 1) await opened;
          return rig.ledger.credit(orders);
        },
      }),
    });
    crediting.start();
    await until(
      () => crediting.status().outcomes.credited === 150,
      'the three later batches are in the ledger',
    );
    expect(crediting.status()).toMatchObject({ drained: 0, inHandOrders: 50 });
    gate.open();
    await promises.drainedTo(last);
    await crediting.stop();
  });

  it('finishes what it has in hand when it stops, and a new one goes on where it was', async () => {
    const orders = newOrders(4_000);
    const last = await promise(orders);
    const first = creditor({ batchOrdersMax: 500 });
    first.start();
    await until(() => first.status().outcomes.credited > 0, 'something is credited');
    await first.stop();
    const { outcomes } = first.status();
    // Whole batches only: eight records of 64 reach the 500.
    expect(outcomes.credited === 4_000 || outcomes.credited % 512 === 0).toBe(true);
    const second = creditor();
    second.start();
    await promises.drainedTo(last);
    await second.stop();
    const total =
      outcomes.credited + second.status().outcomes.credited + second.status().outcomes['already-credited'];
    expect(total).toBeGreaterThanOrEqual(4_000);
    expect(outcomes.credited + second.status().outcomes.credited).toBe(4_000);
    expect(second.status().outcomes.conflicting).toBe(0);
  });

  it('stops while no rate allows it to go on, and while the ledger is away', async () => {
    await promise(newOrders(10));
    const held = creditor();
    held.setRate(0);
    held.start();
    await until(() => held.status().inHandOrders === 10, 'the orders are in hand');
    await held.stop();

    const fault = new RetryableFault('ledger-unavailable', 'the ledger is away', 60_000);
    const stalled = creditor({ ledger: without({ credit: () => Promise.reject(fault) }) });
    stalled.start();
    await until(() => stalled.status().stalledBecause !== undefined, 'the ledger is away');
    await stalled.stop();
    expect([promises.log.drained(), fatal]).toEqual([0, []]);
  });

  it('has a place for every order at any moment, under faults, withdrawals in between and restarts', async () => {
    const random = seeded(testSeed('crediting under fire'));
    const orders = newOrders(6_000, 20);
    const faulty = without({
      credit: async (batch) => {
        if (random() < 0.2) throw new RetryableFault('ledger-unavailable', 'before', 1);
        const receipt = await rig.ledger.credit(batch);
        if (random() < 0.2) throw new RetryableFault('ledger-unavailable', 'after', 1);
        return receipt;
      },
    });
    let watching = true;
    let current = creditor({ ledger: faulty, random, batchOrdersMax: 200 });
    const watch = (async () => {
      while (watching) {
        expect(conserved(current.status())).toBe(true);
        await new Promise(setImmediate);
      }
    })();
    current.start();
    for (let at = 0; at < orders.length; at += 100) {
      const sequence = await promise(orders.slice(at, at + 100));
      // As a withdrawal does: straight into the ledger, past the log.
      if (random() < 0.3) await rig.ledger.credit(orders.slice(at, at + 3));
      if (random() < 0.1) {
        await current.stop();
        current = creditor({ ledger: faulty, random, batchOrdersMax: 200 });
        current.start();
      }
      if (random() < 0.1) current.setRate(random() < 0.5 ? 20_000 : undefined);
      if (random() < 0.1) await promises.drainedTo(sequence);
    }
    current.setRate(undefined);
    await promises.drainedTo(promises.log.end());
    watching = false;
    await watch;
    await current.stop();
    const given = await rig.ledger.sliceTally(orders[0]!.phaseKey, sliceOf(20));
    expect(given).toEqual({ packets: 6_000, fen: orders.reduce((sum, order) => sum + order.amountFen, 0n) });
    expect([await promises.book.outstandingCount(), fatal, await ledgerFaults(rig.pool)]).toEqual([
      0,
      [],
      [],
    ]);
  });
});
