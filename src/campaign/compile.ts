import { createHash } from 'node:crypto';
import type { Fen } from '../vocabulary/fen.ts';
import type { AppId, CampaignId, PhaseId, PhaseKey, RainId, SceneId, SponsorId } from '../vocabulary/ids.ts';
import { scenesOf } from './check-meaning.ts';
import type { CampaignDraft, PhaseDraft, RainDraft, SceneDraft } from './schema.ts';
import type { AmountRule, Budget, CampaignSnapshot, Phase, RainSeries, Scene } from './snapshot.ts';
import { parseDurationMs, parseInstant } from './times.ts';

const fenOf = (amount: number): Fen => BigInt(amount) as Fen;

/** SHA-256 of what a draft says, hex: comments, order of keys and layout do not matter. */
export const contentHash = (draft: CampaignDraft): string =>
  createHash('sha256').update(canonical(draft)).digest('hex');

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(',')}}`;
}

export interface CompileContext {
  readonly version: number;
  readonly contentHash: string;
  readonly phaseKeys: ReadonlyMap<PhaseId, PhaseKey>;
}

/** The snapshot of a checked draft (read.ts). Throws an Error when a phase has no key. */
export function compileCampaign(draft: CampaignDraft, context: CompileContext): CampaignSnapshot {
  const scenes = new Map(
    scenesOf(draft).map(({ scene, rewardId, itemId }) => [
      scene.id as SceneId,
      compileScene(scene, rewardId, itemId),
    ]),
  );
  return {
    id: draft.campaign as CampaignId,
    version: context.version,
    contentHash: context.contentHash,
    title: draft.title,
    apps: new Map(draft.apps.map((app) => [app.id as AppId, { id: app.id as AppId, name: app.name }])),
    limits: draft.limits,
    ticketTtlMs: parseDurationMs(draft.ticketTtl)!,
    sponsors: new Map(
      draft.sponsors.map((sponsor) => [sponsor.id as SponsorId, { ...sponsor, id: sponsor.id as SponsorId }]),
    ),
    scenes,
    phases: draft.phases
      .map((phase) => compilePhase(phase, keyOf(phase, context), scenes))
      .sort((a, b) => a.opensAtMs - b.opensAtMs),
  };
}

function keyOf(phase: PhaseDraft, context: CompileContext): PhaseKey {
  const key = context.phaseKeys.get(phase.id as PhaseId);
  if (!key) throw new Error(`phase ${phase.id} has no key`);
  return key;
}

const compileScene = (scene: SceneDraft, rewardId: string, itemId: string): Scene => ({
  id: scene.id as SceneId,
  rewardId,
  itemId,
  award: scene.award,
  sponsorId: scene.sponsor as SponsorId,
  amount: amountRule(scene),
  packetCapFen: fenOf(scene.caps.packetFen),
  personPacketsMax: scene.caps.personPackets,
  budget: { fen: fenOf(scene.budget.fen), packets: scene.budget.packets },
  bill: scene.bill,
  flags: scene.flags,
});

const amountRule = ({ amount }: SceneDraft): AmountRule =>
  amount.rule === 'fixed' ? { rule: 'fixed', fen: fenOf(amount.fen!) } : { rule: amount.rule };

function compilePhase(phase: PhaseDraft, key: PhaseKey, scenes: ReadonlyMap<SceneId, Scene>): Phase {
  const budgets = new Map<SceneId, Budget>([...scenes].map(([id, scene]) => [id, scene.budget]));
  for (const own of phase.budgets ?? [])
    budgets.set(own.scene as SceneId, { fen: fenOf(own.fen), packets: own.packets });
  return {
    id: phase.id as PhaseId,
    key,
    kind: phase.kind,
    opensAtMs: parseInstant(phase.opensAt)!,
    closesAtMs: parseInstant(phase.closesAt)!,
    audiencePermille: phase.audiencePermille ?? 1000,
    budgets,
    series: phase.rains.map(compileSeries).sort((a, b) => a.startsAtMs - b.startsAtMs),
  };
}

function compileSeries(rain: RainDraft): RainSeries {
  const lastsMs = parseDurationMs(rain.lasts)!;
  return {
    firstRainId: (rain.id ?? rain.firstId) as RainId,
    startsAtMs: parseInstant(rain.startsAt)!,
    everyMs: rain.every === undefined ? lastsMs : parseDurationMs(rain.every)!,
    lastsMs,
    count: rain.count ?? 1,
    deals: rain.deals.map((deal) => ({
      sceneId: deal.scene as SceneId,
      packets: deal.packets,
      budgetFen: fenOf(deal.budgetFen),
    })),
  };
}
