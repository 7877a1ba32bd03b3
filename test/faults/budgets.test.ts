import { expect, it } from 'vitest';
import { type Mutation, spendEverything } from '../support/budgets/stage.ts';
import { testSeed } from '../support/orders.ts';

const WITHIN = { timeout: 400_000 };

it(
  '64 spenders on four processes give exactly the stock, whatever is killed, lost and asked again',
  WITHIN,
  async () => {
    const seed = testSeed('budgets under kills');
    const report = await spendEverything({ seed, packets: 1_200, kills: 5 });
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
];

it.each(MUTATIONS)('the same finds %s', WITHIN, async (_, mutation, what) => {
  const report = await spendEverything({ seed: testSeed('budgets'), packets: 250, kills: 0, mutation });
  expect(report.faults).toEqual(expect.arrayContaining([expect.stringMatching(what)]));
});
