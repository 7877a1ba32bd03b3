import { createHash } from 'node:crypto';
import type { Fen } from '../vocabulary/fen.ts';
import type { AppId, CampaignId, PhaseId, PhaseKey, RainId, SceneId, SponsorId } from '../vocabulary/ids.ts';
import { scenesOf } from './check-meaning.ts';
import type { CampaignDraft, PhaseDraft, RainDraft, SceneDraft } from './schema.ts';
import type {
  AmountRule,
  Budget,
  BudgetLevel,
  CampaignSnapshot,
  Phase,
  RainSeries,
  Scene,
} from './snapshot.ts';
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
  const drafts = new Map(scenesOf(draft).map(({ scene }) => [scene.id, scene]));
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
    levels: levelsOf(draft),
    phases: draft.phases
      .map((phase) => compilePhase(phase, keyOf(phase, context), drafts))
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
  packetCapFen: fenOf(scene.amount.rule === 'piece' ? worthFen(scene) : scene.caps.packetFen!),
  personPacketsMax: scene.caps.personPackets,
  budget: budgetOf(scene, scene.budget),
  bill: scene.bill,
  fulfil: scene.fulfil,
  consolation: scene.consolation as SceneId | undefined,
  flags: scene.flags,
});

function amountRule(scene: SceneDraft): AmountRule {
  const { rule, fen } = scene.amount;
  if (rule === 'piece') return { rule, fen: fenOf(worthFen(scene)) };
  return rule === 'fixed' ? { rule, fen: fenOf(fen!) } : { rule };
}

const worthFen = ({ amount }: SceneDraft): number => amount.worthFen ?? 0;

/** Pieces are counted, and cost what they are worth; of money both is written. */
const budgetOf = (
  scene: SceneDraft,
  { fen, packets }: { readonly fen?: number | undefined; readonly packets: number },
): Budget => ({
  fen: scene.amount.rule === 'piece' ? ((BigInt(worthFen(scene)) * BigInt(packets)) as Fen) : fenOf(fen!),
  packets,
});

/** The totals above the scenes that the file sets. */
function levelsOf(draft: CampaignDraft): BudgetLevel[] {
  const levels = [
    { path: '/', budget: draft.budget },
    ...draft.rewards.flatMap((reward) => [
      { path: `/${reward.id}`, budget: reward.budget },
      ...reward.items.map((item) => ({ path: `/${reward.id}/${item.id}`, budget: item.budget })),
    ]),
  ];
  return levels.flatMap(({ path, budget }) =>
    budget ? [{ path, total: { fen: fenOf(budget.fen), packets: budget.packets } }] : [],
  );
}

function compilePhase(phase: PhaseDraft, key: PhaseKey, drafts: ReadonlyMap<string, SceneDraft>): Phase {
  const budgets = new Map<SceneId, Budget>(
    [...drafts].map(([id, scene]) => [id as SceneId, budgetOf(scene, scene.budget)]),
  );
  for (const own of phase.budgets ?? [])
    budgets.set(own.scene as SceneId, budgetOf(drafts.get(own.scene)!, own));
  return {
    id: phase.id as PhaseId,
    key,
    kind: phase.kind,
    opensAtMs: parseInstant(phase.opensAt)!,
    closesAtMs: parseInstant(phase.closesAt)!,
    audiencePermille: phase.audiencePermille ?? 1000,
    budgets,
    series: phase.rains
      .map((rain) => compileSeries(rain, drafts))
      .sort((a, b) => a.startsAtMs - b.startsAtMs),
  };
}

function compileSeries(rain: RainDraft, drafts: ReadonlyMap<string, SceneDraft>): RainSeries {
  const lastsMs = parseDurationMs(rain.lasts)!;
  return {
    firstRainId: (rain.id ?? rain.firstId) as RainId,
    startsAtMs: parseInstant(rain.startsAt)!,
    everyMs: rain.every === undefined ? lastsMs : parseDurationMs(rain.every)!,
    lastsMs,
    count: rain.count ?? 1,
    deals: rain.deals.map(({ scene, packets, budgetFen }) => ({
      sceneId: scene as SceneId,
      packets,
      budgetFen: budgetOf(drafts.get(scene)!, { packets, fen: budgetFen }).fen,
    })),
  };
}
