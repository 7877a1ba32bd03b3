import { expect, it } from 'vitest';
import { testCampaign } from '../../test/support/campaign.ts';
import type { Scene } from '../campaign/snapshot.ts';
import type { BudgetLine } from '../engines/ports.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { CampaignId, PhaseKey, SceneId } from '../vocabulary/ids.ts';
import { needsAgainstBudgets } from './reissue-needs.ts';

const phaseKey = 3 as PhaseKey;
const cash = testCampaign.scenes.get('cash' as SceneId)!;
const scene = (id: string, amount: Scene['amount']): Scene => ({ ...cash, id: id as SceneId, amount });
const scenes = new Map(
  [
    scene('given', { rule: 'given' }),
    scene('fixed', { rule: 'fixed', fen: 8n as Fen }),
    scene('split', { rule: 'split' }),
    scene('coupon', { rule: 'piece', fen: 0n as Fen }),
  ].map((one) => [one.id, one]),
);
const line = (at: string, fen: number, packets: number): BudgetLine => ({
  phaseKey,
  sceneId: at as SceneId,
  rainId: undefined,
  total: { fen: 1_000_000n as Fen, packets: 1_000_000 },
  remaining: { fen: BigInt(fen) as Fen, packets },
  leased: { fen: 0n as Fen, packets: 0 },
  given: { fen: 0n as Fen, packets: 0 },
});
const need = (at: string, lines: number, namedFen = 0) => ({
  campaignId: 'gala' as CampaignId,
  sceneId: at as SceneId,
  phaseKey,
  lines,
  namedFen: BigInt(namedFen) as Fen,
});
const suffices = (needs: ReturnType<typeof need>[], budgets: BudgetLine[]) =>
  needsAgainstBudgets(needs, (one) => scenes.get(one.sceneId), budgets).map((one) => [one.fen, one.suffices]);

it.each([
  ['given', 10, 100, 100, 10, [100n, true]],
  ['given', 10, 100, 99, 10, [100n, false]],
  ['given', 10, 100, 100, 9, [100n, false]],
  ['fixed', 10, 0, 80, 10, [80n, true]],
  ['fixed', 10, 0, 79, 10, [80n, false]],
  ['coupon', 10, 0, 0, 10, [0n, true]],
  ['split', 10, 0, 10, 10, [undefined, true]],
  ['split', 10, 0, 10, 9, [undefined, false]],
] as const)('%s: %i lines of %i fen against %i fen, %i pieces', (at, lines, named, fen, packets, expected) =>
  expect(suffices([need(at, lines, named)], [line(at, fen, packets)])).toEqual([expected]),
);

it('counts what stands under one total together', () => {
  const lines = [line('given', 100, 10), line('fixed', 80, 10)];
  const needs = [need('given', 5, 50), need('fixed', 5)];
  expect(suffices(needs, [...lines, line('/', 90, 10)])).toEqual([
    [50n, true],
    [40n, true],
  ]);
  for (const total of [line('/', 89, 10), line('/cash', 90, 9), line('/cash/cash', 89, 10)])
    expect(suffices(needs, [...lines, total]).map(([, enough]) => enough)).toEqual([false, false]);
});

it('has nothing for a scene that is not in force, or has no budget in the phase', () => {
  expect(suffices([need('gone', 1)], [line('gone', 9, 9)])).toEqual([[undefined, true]]);
  expect(suffices([need('fixed', 1)], [])).toEqual([[8n, false]]);
});
