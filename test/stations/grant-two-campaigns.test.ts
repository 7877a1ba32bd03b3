import { expect, it } from 'vitest';
import type { PhaseKey } from '../../src/vocabulary/ids.ts';
import { askOf, createGrantWorld, type GrantWorld } from '../support/grants.ts';
import { anOrder } from '../support/orders.ts';

/** The same campaign under another name: its phases have keys of their own, and names that are not. */
const another = (world: GrantWorld): GrantWorld => ({
  ...world,
  campaign: {
    ...world.campaign,
    phases: world.campaign.phases.map((phase) => ({ ...phase, key: (phase.key + 100) as PhaseKey })),
  },
});

it('a number that was granted in one campaign is free in another one with a phase and a scene of the same name', async () => {
  const world = createGrantWorld();
  const here = anOrder({ person: 1, index: 1 });
  const there = anOrder({ person: 1, index: 2, phaseKey: 4 });
  expect(there.orderNumber).toBe(here.orderNumber);
  const first = await world.granter().grant(here);
  expect(await world.granter().recall(there)).toBeUndefined();
  expect(await world.granter().grant(there)).toMatchObject({ order: there, replayed: false });
  expect(await world.granter().grant(here)).toMatchObject({ ...first, replayed: true });
  expect(world.log).toEqual([here, there]);
});

it('an ask whose outcome is unknown keeps nobody from the other campaign’s', async () => {
  let isLost = true;
  const world = createGrantWorld({ fate: () => (isLost ? 'lost before' : 'kept') });
  await expect(askOf(world, { scene: 'first' })).rejects.toMatchObject({ kind: 'outcome-unknown' });
  isLost = false;
  const there = await askOf(another(world), { scene: 'first' });
  expect(there).toMatchObject({ replayed: false, order: { unit: { index: 2 } } });
  expect(await askOf(world, { scene: 'first' })).toMatchObject({ order: { unit: { index: 1 } } });
  expect(world.log).toHaveLength(2);
});
