import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { HotTotals } from '../../src/engines/ports.ts';
import type { PhaseKey } from '../../src/vocabulary/ids.ts';
import { seeded, testSeed } from '../support/orders.ts';
import { eventually } from '../support/redis.ts';
import { aTotal, PHASE } from '../support/totals.ts';

const OTHER_PHASE = 8 as PhaseKey;

export interface HotTotalsContract {
  readonly name: string;
  start?(): Promise<void>;
  /** A process that knows nothing but who it is. */
  make(instance: string): HotTotals;
  /** Forgets everything that was told. */
  fresh?(): Promise<void>;
  stop?(): Promise<void>;
}

/** What every engine of HotTotals does for one instance. */
export function hotTotalsContract(contract: HotTotalsContract): void {
  describe(contract.name, () => {
    beforeAll(async () => contract.start?.());
    beforeEach(async () => contract.fresh?.());
    afterAll(async () => contract.stop?.());

    const withOne = async (work: (totals: HotTotals) => Promise<void>): Promise<void> => {
      const totals = contract.make('one');
      try {
        await work(totals);
      } finally {
        await totals.close();
      }
    };

    test('a phase in which nothing was given shows zero, which is data', () =>
      withOne(async (totals) => {
        expect(await totals.read(PHASE)).toEqual(aTotal(0, 0));
      }));

    test('what is added is read, money and packets apart, and phases apart', () =>
      withOne(async (totals) => {
        totals.add(PHASE, aTotal(250, 1));
        totals.add(PHASE, aTotal(0, 1));
        totals.add(OTHER_PHASE, aTotal(9, 1));
        expect(await totals.read(PHASE)).toEqual(aTotal(250, 2));
        expect(await totals.read(OTHER_PHASE)).toEqual(aTotal(9, 1));
      }));

    test('what the ledger has credited is the least that is shown, over all its databases, whoever says so', () =>
      withOne(async (totals) => {
        totals.add(PHASE, aTotal(500, 5));
        totals.confirm(PHASE, 'east', aTotal(300, 3));
        totals.confirm(PHASE, 'east', aTotal(200, 2));
        expect(await totals.read(PHASE)).toEqual(aTotal(500, 5));
        totals.confirm(PHASE, 'west', aTotal(250, 1));
        await eventually(async () => expect(await totals.read(PHASE)).toEqual(aTotal(550, 5)));
        // It was in what was credited already: nothing is counted twice.
        totals.add(PHASE, aTotal(50, 2));
        await eventually(async () => expect(await totals.read(PHASE)).toEqual(aTotal(550, 7)));
        totals.confirm(PHASE, 'west', aTotal(260, 4));
        await eventually(async () => expect(await totals.read(PHASE)).toEqual(aTotal(560, 7)));
        totals.confirm(OTHER_PHASE, 'west', aTotal(9, 1));
        await eventually(async () => expect(await totals.read(OTHER_PHASE)).toEqual(aTotal(9, 1)));
        expect(await totals.read(PHASE)).toEqual(aTotal(560, 7));
      }));

    test('a sum of ninety trillion yuan is exact to the fen', () =>
      withOne(async (totals) => {
        totals.add(PHASE, aTotal(Number.MAX_SAFE_INTEGER - 1, 1));
        totals.add(PHASE, aTotal(1, 1));
        expect(await totals.read(PHASE)).toEqual(aTotal(Number.MAX_SAFE_INTEGER, 2));
        totals.confirm(PHASE, 'east', aTotal(Number.MAX_SAFE_INTEGER - 5, 3));
        totals.confirm(PHASE, 'east', aTotal(Number.MAX_SAFE_INTEGER, 3));
        await eventually(async () =>
          expect(await totals.read(PHASE)).toEqual(aTotal(Number.MAX_SAFE_INTEGER, 3)),
        );
      }));

    test('one who reads all the time never sees it go down, and sees all of it in the end', () =>
      withOne(async (totals) => {
        const random = seeded(testSeed('hot totals contract'));
        let sum = 0;
        let last = aTotal(0, 0);
        for (let at = 1; at <= 200; at += 1) {
          const money = Math.floor(random() * 1_000);
          sum += money;
          totals.add(PHASE, aTotal(money, 1));
          const now = await totals.read(PHASE);
          expect(now.fen).toBeGreaterThanOrEqual(last.fen);
          expect(now.packets).toBeGreaterThanOrEqual(last.packets);
          last = now;
        }
        await eventually(async () => expect(await totals.read(PHASE)).toEqual(aTotal(sum, 200)));
      }));
  });
}
