import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createReclaimer, type Reclaimer, type ReclaimerOptions } from '../../src/control/reclaim.ts';
import type { Slice } from '../../src/engines/ports.ts';
import { BrokenInvariant, RetryableFault } from '../../src/protocol/failures.ts';
import type { Creditor } from '../../src/stations/5-credit/creditor.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { PhaseKey, SceneId, SliceId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { anOrder } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { type Promises, type Rig, startRig, testClock, until } from '../support/rig.ts';
import { creditorOver } from '../support/stations.ts';

const GRANT_UNTIL_MS = 1_800_000_000_000;
const MARGIN_MS = 1_000;
const BUDGET = { packets: 100, fen: 10_000n as Fen };

describe('bringing slices back', () => {
  let rig: Rig;
  let promises: Promises;
  let crediting: Creditor;
  let refused: SliceId[];
  let phaseKey: PhaseKey;
  let fatal: unknown[];
  let people = 0;
  let tests = 0;
  const clock = testClock(GRANT_UNTIL_MS + MARGIN_MS + 1);

  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    tests += 1;
    phaseKey = tests as PhaseKey;
    refused = [];
    fatal = [];
    clock.set(GRANT_UNTIL_MS + MARGIN_MS + 1);
    promises = await rig.journal(`reclaim-${tests}`);
    crediting = startCreditor();
    await rig.allotments.setBudgets([
      {
        phaseKey,
        sceneId: 'cash' as SceneId,
        rainId: undefined,
        total: BUDGET,
        packetCapFen: 1_000n as Fen,
        rule: 'split',
      },
    ]);
  });
  afterEach(async () => {
    await crediting.stop();
    await promises.log.close();
    // The next test's sweep looks at every slice that is open.
    for (const { slice } of await rig.allotments.unclosed()) {
      await rig.allotments.fence(slice);
      await rig.allotments.close(slice, { packets: 0, fen: 0n as Fen });
    }
  });

  function startCreditor(): Creditor {
    const one = creditorOver(promises, rig.ledger, clock, { onFatal: (error) => fatal.push(error) });
    one.start();
    return one;
  }
  const reclaimer = (more: Partial<ReclaimerOptions> = {}): Reclaimer =>
    createReclaimer({
      allotments: rig.allotments,
      logs: [promises.log],
      ledger: rig.ledger,
      refuseSlice: (sliceId) => refused.push(sliceId),
      clock,
      logger: quiet,
      marginMs: MARGIN_MS,
      intervalMs: 5,
      onFatal: (error) => fatal.push(error),
      ...more,
    });
  const lease = async (packetsWanted: number): Promise<Slice> =>
    (await rig.allotments.lease({
      phaseKey,
      sceneId: 'cash' as SceneId,
      rainId: undefined,
      holder: 'test',
      packetsWanted,
      dealUntilMs: instantMs(GRANT_UNTIL_MS - 1),
      grantUntilMs: instantMs(GRANT_UNTIL_MS),
    }))!;
  /** Grants the first packets of a slice. */
  const spend = async (slice: Slice, count: number): Promise<Order[]> => {
    const orders = slice.packetsFen!.slice(0, count).map((fen, index) => {
      people += 1;
      return {
        ...anOrder({ person: people, fen: Number(fen), slice: Number(slice.sliceId), index }),
        phaseKey,
      };
    });
    await promises.promise(orders);
    return orders;
  };
  const remaining = async () => (await rig.allotments.budgets(phaseKey))[0]!.remaining;
  const sumOf = (orders: readonly Order[]) => orders.reduce((sum, order) => sum + order.amountFen, 0n);

  it('gives back exactly what was not given, to the fen', async () => {
    const [one, two] = [await lease(40), await lease(30)];
    const spent = [...(await spend(one, 7)), ...(await spend(two, 30))];
    expect((await remaining()).packets).toBe(30);
    expect(await reclaimer().sweepOnce()).toBe(2);
    expect(await remaining()).toEqual({ packets: 100 - 37, fen: BUDGET.fen - sumOf(spent) });
    expect(refused.sort()).toEqual([one.sliceId, two.sliceId].sort());
    expect(await reclaimer().sweepOnce()).toBe(0);
  });

  it.each([
    [0, 0],
    [MARGIN_MS, 0],
    [MARGIN_MS + 1, 1],
  ])('%d ms after the last ticket closes %d slices', async (afterMs, closed) => {
    await lease(10);
    clock.set(GRANT_UNTIL_MS + afterMs);
    expect(await reclaimer().sweepOnce()).toBe(closed);
  });

  it('refuses grants first, and waits for those on their way before it fences', async () => {
    const slice = await lease(5);
    const steps: string[] = [];
    const one = reclaimer({
      refuseSlice: async () => {
        steps.push('refused');
        await spend(slice, 2);
        steps.push('handed to the log');
      },
      allotments: {
        ...rig.allotments,
        fence: async (fenced) => {
          steps.push('fenced');
          await rig.allotments.fence(fenced);
        },
      },
    });
    await one.sweepOnce();
    expect(steps).toEqual(['refused', 'handed to the log', 'fenced']);
    expect((await remaining()).packets).toBe(98);
  });

  it('counts only once everything before the fence is credited, and is not held up meanwhile', async () => {
    crediting.setRate(0);
    const slice = await lease(10);
    await spend(slice, 4);
    const one = reclaimer();
    one.start();
    await until(() => promises.log.end() === 2, 'the fence is in the log');
    const other = await lease(10);
    await until(() => refused.includes(other.sliceId), 'another sweep has begun');
    expect((await rig.allotments.unclosed()).length).toBe(2);
    crediting.setRate(undefined);
    await until(async () => (await rig.allotments.unclosed()).length === 0, 'both are closed');
    await one.stop();
    expect((await remaining()).packets).toBe(96);
    // One fence each, though many sweeps have passed.
    expect(promises.log.end()).toBe(3);
  });

  it('does not fence again what was closed while it looked', async () => {
    const slice = await lease(10);
    let looks = 0;
    const one = reclaimer({
      allotments: {
        ...rig.allotments,
        unclosed: async () => {
          const found = await rig.allotments.unclosed();
          looks += 1;
          // The second look began while the slice was being closed, and comes back when it is.
          if (looks === 2) {
            crediting.setRate(undefined);
            await until(async () => (await rig.allotments.unclosed()).length === 0, 'the slice is closed');
            await new Promise(setImmediate);
          }
          return found;
        },
      },
    });
    crediting.setRate(0);
    await spend(slice, 4);
    one.start();
    await until(() => looks > 3, 'it looked again');
    await one.stop();
    expect(promises.log.end()).toBe(2);
    expect((await remaining()).packets).toBe(96);
  });

  it('stops while it waits for a backlog, and goes on after the restart', async () => {
    crediting.setRate(0);
    const slice = await lease(10);
    const spent = await spend(slice, 4);
    const one = reclaimer();
    one.start();
    await until(() => promises.log.end() === 2, 'the fence is in the log');
    await one.stop();
    await crediting.stop();
    await promises.log.close();

    promises = await rig.journal(`reclaim-${tests}`);
    crediting = startCreditor();
    // A slice that is fenced already is taken up whatever the time is.
    clock.set(GRANT_UNTIL_MS - 5_000);
    expect(await reclaimer().sweepOnce()).toBe(1);
    expect(await remaining()).toEqual({ packets: 96, fen: BUDGET.fen - sumOf(spent) });
    expect(crediting.status().outcomes).toMatchObject({ credited: 4, void: 0 });
  });

  it('waits for a fence that stands, however often it starts anew', async () => {
    crediting.setRate(0);
    await spend(await lease(10), 4);
    for (const stopsAt of ['the first start', 'the second', 'the third']) {
      const drains: number[] = [];
      const { untilDrained } = promises.log;
      const log = {
        ...promises.log,
        untilDrained: (...asked: Parameters<typeof untilDrained>) => {
          drains.push(asked[0]);
          return untilDrained(...asked);
        },
      };
      const one = reclaimer({ logs: [log], settleMs: 1 });
      one.start();
      await until(() => drains.length > 0, `it waits: ${stopsAt}`);
      await one.stop();
      expect(drains).toEqual([2]);
    }
    expect(promises.log.end()).toBe(2);
    crediting.setRate(undefined);
    expect(await reclaimer().sweepOnce()).toBe(1);
    expect((await remaining()).packets).toBe(96);
  });

  it('leaves the fence to the next start when it is stopped before those on their way had their time', async () => {
    const slice = await lease(10);
    const one = reclaimer({ settleMs: 60_000 });
    one.start();
    const state = async () => (await rig.allotments.unclosed())[0]?.state;
    await until(async () => (await state()) === 'fenced', 'it lets them come in');
    await one.stop();
    expect(promises.log.end()).toBe(0);
    await spend(slice, 2);
    expect(await reclaimer().sweepOnce()).toBe(1);
    expect((await remaining()).packets).toBe(98);
  });

  it('fences only the buckets that have no fence yet', async () => {
    await spend(await lease(10), 4);
    let isAway = true;
    const away = new RetryableFault('log-unavailable', 'no quorum', 1);
    const other = await rig.journal(`reclaim-${tests}-other`);
    const logs = [
      promises.log,
      {
        ...other.log,
        appendFence: (unit: Parameters<typeof other.log.appendFence>[0]) =>
          isAway ? Promise.reject(away) : other.log.appendFence(unit),
        untilDrained: async () => {},
      },
    ];
    for (let looks = 0; looks < 3; looks += 1) expect(await reclaimer({ logs }).sweepOnce()).toBe(0);
    isAway = false;
    expect(await reclaimer({ logs }).sweepOnce()).toBe(1);
    expect([promises.log.end(), other.log.end()]).toEqual([2, 1]);
    expect((await remaining()).packets).toBe(96);
    await other.log.close();
  });

  it.each([
    ['holds something else by now', (slice: Slice) => spend(slice, 1)],
    ['was lost with the log’s end', async () => {}],
  ])('fences anew when the place of its fence %s', async (_, meanwhile) => {
    const slice = await lease(10);
    await rig.allotments.fence(slice);
    await rig.allotments.noteFences(slice, [1]);
    await meanwhile(slice);
    const end = promises.log.end();
    expect(await reclaimer().sweepOnce()).toBe(1);
    expect(promises.log.end()).toBe(end + 1);
    expect((await remaining()).packets).toBe(100 - end);
  });

  it('can’t know of a fence while its log is away, and asks again', async () => {
    const slice = await lease(10);
    await rig.allotments.fence(slice);
    await rig.allotments.noteFences(slice, [await promises.log.appendFence(slice)]);
    const away = new RetryableFault('log-unavailable', 'no leader', 1);
    const blind = { ...promises.log, at: () => Promise.reject(away) };
    expect(await reclaimer({ logs: [blind] }).sweepOnce()).toBe(0);
    expect(await reclaimer().sweepOnce()).toBe(1);
    expect(promises.log.end()).toBe(1);
  });

  it.each(['refuse', 'fence', 'append', 'note', 'drain', 'ledger', 'tally', 'close', 'closed'] as const)(
    'is exact when the process dies at the step: %s',
    async (step) => {
      const slice = await lease(10);
      const spent = await spend(slice, 3);
      const died = new RetryableFault('ledger-unavailable', 'the process died', 1);
      const dieAt = (name: string) => (name === step ? Promise.reject(died) : Promise.resolve());
      const dying = reclaimer({
        refuseSlice: () => dieAt('refuse'),
        allotments: {
          ...rig.allotments,
          fence: (fenced) => dieAt('fence').then(() => rig.allotments.fence(fenced)),
          noteFences: (...noted) => dieAt('note').then(() => rig.allotments.noteFences(...noted)),
          close: async (closed, given) => {
            await dieAt('close');
            await rig.allotments.close(closed, given);
            await dieAt('closed');
          },
        },
        logs: [
          {
            at: promises.log.at,
            appendFence: (unit) => dieAt('append').then(() => promises.log.appendFence(unit)),
            untilDrained: (...until) => dieAt('drain').then(() => promises.log.untilDrained(...until)),
          },
        ],
        ledger: {
          ...rig.ledger,
          fence: (fenced) => dieAt('ledger').then(() => rig.ledger.fence(fenced)),
          sliceTally: (key, sliceId) => dieAt('tally').then(() => rig.ledger.sliceTally(key, sliceId)),
        },
      });
      expect(await dying.sweepOnce()).toBe(0);
      await reclaimer().sweepOnce();
      expect(await remaining()).toEqual({ packets: 97, fen: BUDGET.fen - sumOf(spent) });
      expect(await rig.allotments.unclosed()).toEqual([]);
    },
  );

  it('closes the others when one can’t be closed', async () => {
    const [bad, good] = [await lease(10), await lease(10)];
    const fault = new RetryableFault('ledger-unavailable', 'not this one', 1);
    const one = reclaimer({
      ledger: {
        ...rig.ledger,
        sliceTally: (key, sliceId) =>
          sliceId === bad.sliceId ? Promise.reject(fault) : rig.ledger.sliceTally(key, sliceId),
      },
    });
    expect(await one.sweepOnce()).toBe(1);
    expect((await rig.allotments.unclosed()).map(({ slice }) => slice.sliceId)).toEqual([bad.sliceId]);
    expect(good.sliceId).not.toBe(bad.sliceId);
  });

  it('ends the process when a slice gave more than was leased', async () => {
    const slice = await lease(2);
    await spend(slice, 2);
    people += 1;
    await promises.promise([
      { ...anOrder({ person: people, slice: Number(slice.sliceId), index: 0 }), phaseKey },
    ]);
    const one = reclaimer();
    one.start();
    await until(() => fatal.length > 0, 'the broken budget is told');
    await one.stop();
    expect(fatal[0]).toBeInstanceOf(BrokenInvariant);
    expect(String(fatal[0])).toContain('I4');
  });

  it('outlives a database that is away', async () => {
    await lease(1);
    let away = true;
    const one = reclaimer({
      allotments: {
        ...rig.allotments,
        unclosed: () =>
          away
            ? Promise.reject(new RetryableFault('ledger-unavailable', 'away', 1))
            : rig.allotments.unclosed(),
      },
    });
    one.start();
    await new Promise(setImmediate);
    away = false;
    await until(async () => (await remaining()).packets === 100, 'the slice is back');
    await one.stop();
    expect(fatal).toEqual([]);
  });
});
