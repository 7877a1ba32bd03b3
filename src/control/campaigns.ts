import { compileAnnounced } from '../campaign/announced.ts';
import { compileCampaign, contentHash } from '../campaign/compile.ts';
import type { CampaignProblem } from '../campaign/problems.ts';
import { readCampaign } from '../campaign/read.ts';
import type { CampaignSnapshot, Scene } from '../campaign/snapshot.ts';
import type { Allotments, BudgetSetting, ControlStore, StoredCampaign } from '../engines/ports.ts';
import type { AnnouncedCampaign, Cue } from '../protocol/announcement.ts';
import { type Refusal, refuse } from '../protocol/failures.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { CampaignId, PhaseId, SceneId } from '../vocabulary/ids.ts';
import type { Announcer } from './announcer.ts';

export type Applied =
  | { readonly id: CampaignId; readonly version: number }
  | { readonly problems: readonly CampaignProblem[] }
  | Refusal;

export interface Campaigns {
  /** Checks, stores and announces a campaign file. What is wrong changes nothing. */
  apply(source: string): Promise<Applied>;
  /** Announces everything that was applied before, unless it is announced already. */
  load(): Promise<void>;
  /** Moves a round of the night. Refused when it would leave its phase, overlap another round, or is not known. */
  cue(cue: Cue): Promise<Refusal | { readonly sequence: number }>;
}

export interface CampaignsDeps {
  readonly store: ControlStore;
  readonly allotments: Allotments;
  readonly announcer: Announcer;
}

export function createCampaigns({ store, allotments, announcer }: CampaignsDeps): Campaigns {
  return {
    async apply(source) {
      const read = readCampaign(source);
      if ('problems' in read) return read;
      const { draft } = read;
      const id = draft.campaign as CampaignId;
      const phases = draft.phases.map((phase) => phase.id as PhaseId);
      const hash = contentHash(draft);
      const phaseKeys = await store.phaseKeysFor(id, phases);
      // Budgets first: a file that they refuse must not be the newest at the next start.
      const snapshot = compileCampaign(draft, { version: 0, contentHash: hash, phaseKeys });
      const refusal = await allotments.setBudgets(budgetsOf(snapshot));
      if (refusal) return refusal;
      const stored = await store.storeCampaign({ id, contentHash: hash, source });
      await announcer.announce((now) => {
        const others = now.campaigns.filter((one) => one.id !== stored.id);
        const known = now.campaigns.find((one) => one.id === stored.id);
        // Somebody else was behind us in storing and before us here: theirs is the newest.
        if (known && known.version > stored.version) return {};
        // A new file has new times; moves of the old one would hit rounds that are planned anew.
        const cues = now.cues.filter((cue) => cue.campaignId !== stored.id);
        return { campaigns: [...others, announced(stored)], cues };
      });
      return { id: stored.id, version: stored.version };
    },
    async load() {
      const now = await announcer.load();
      const known = new Set(now.campaigns.map((one) => one.id));
      const missing = (await store.campaigns()).filter((one) => !known.has(one.id));
      if (missing.length > 0)
        await announcer.announce((last) => ({ campaigns: [...last.campaigns, ...missing.map(announced)] }));
    },
    async cue(cue) {
      const now = await announcer.load();
      const campaign = now.campaigns.find((one) => one.id === cue.campaignId);
      if (!campaign) return refuse('campaign-unknown', `no campaign ${cue.campaignId} is in force`);
      try {
        compileAnnounced([campaign], [...now.cues, cue]);
      } catch (error) {
        return refuse('malformed', (error as Error).message);
      }
      const { sequence } = await announcer.announce((last) => ({ cues: [...last.cues, cue] }));
      return { sequence };
    },
  };
}

/** Every total that the file sets, of each phase: its scenes' and those above them. */
const budgetsOf = (snapshot: CampaignSnapshot): BudgetSetting[] =>
  snapshot.phases.flatMap(({ key: phaseKey, budgets }) => [
    ...snapshot.levels.map(({ path, total }) => ({
      phaseKey,
      sceneId: path as SceneId,
      rainId: undefined,
      total,
      packetCapFen: 0n as Fen,
      rule: 'level' as const,
    })),
    ...[...budgets].map(([sceneId, total]) => {
      const scene = snapshot.scenes.get(sceneId)!;
      return {
        phaseKey,
        sceneId,
        rainId: undefined,
        total,
        packetCapFen: scene.packetCapFen,
        rule: scene.amount.rule,
        levels: levelsAbove(snapshot, scene),
      };
    }),
  ]);

function levelsAbove({ levels }: CampaignSnapshot, { rewardId, itemId }: Scene): string[] {
  const above = ['/', `/${rewardId}`, `/${rewardId}/${itemId}`];
  return levels.map(({ path }) => path).filter((path) => above.includes(path));
}

const announced = (stored: StoredCampaign): AnnouncedCampaign => ({
  id: stored.id,
  version: stored.version,
  contentHash: stored.contentHash,
  source: stored.source,
  phaseKeys: Object.fromEntries(stored.phaseKeys),
});
