import { expect, it } from 'vitest';
import { type Mutation, spendEverything } from '../support/budgets/stage.ts';
import { testSeed } from '../support/orders.ts';

const WITHIN = { timeout: 400_000 };

it(
  '64 spenders on four processes give exactly the stock, whatever is killed, lost and asked again',
  WITHIN,
  async () => {
    const seed = testSeed('budgets under kills');
    const report = await spendEverything({ seed, processes: 4, packets: 1_200, kills: 5 });
    expect(report.faults).toEqual([]);
    expect(report.killed).toBe(5);
  },
);

const MUTATIONS: readonly (readonly [string, Mutation, RegExp])[] = [
  [
    'a lease that leaves the last packet of a line',
    {
      file: 'src/rules/share.ts',
      from: 'remaining.packets < 1n',
      to: 'remaining.packets <= 1n',
    },
    /^wasted/,
  ],
  [
    'a slice that counts one packet less than it gave',
    {
      file: 'src/engines/postgres/allotments/index.ts',
      from: '{ packets: BigInt(given.packets), fen: given.fen }',
      to: '{ packets: BigInt(Math.max(0, given.packets - 1)), fen: given.fen }',
    },
    /^over/,
  ],
  [
    'a slice that is dealt one packet beyond its end',
    { file: 'src/stations/3-grant/held.ts', from: 'index >= slice.packets', to: 'index > slice.packets' },
    /^process-\d ended by itself|^over|^the auditor/,
  ],
];

it.each(MUTATIONS)('the same finds %s', WITHIN, async (_, mutation, what) => {
  const report = await spendEverything({
    seed: testSeed('budgets'),
    processes: 2,
    packets: 150,
    kills: 0,
    mutation,
  });
  expect(report.faults).toEqual(expect.arrayContaining([expect.stringMatching(what)]));
});
