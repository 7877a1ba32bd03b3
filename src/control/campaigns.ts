import { compileAnnounced } from '../campaign/announced.ts';
import { compileCampaign, contentHash } from '../campaign/compile.ts';
import type { CampaignProblem } from '../campaign/problems.ts';
import { readCampaign } from '../campaign/read.ts';
import type { CampaignSnapshot } from '../campaign/snapshot.ts';
import type { Allotments, ControlStore, StoredCampaign } from '../engines/ports.ts';
import type { AnnouncedCampaign, Cue } from '../protocol/announcement.ts';
import { type Refusal, refuse } from '../protocol/failures.ts';
import type { CampaignId, PhaseId } from '../vocabulary/ids.ts';
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
  const setBudgets = (snapshot: CampaignSnapshot): Promise<Refusal | undefined> =>
    allotments.setBudgets(
      snapshot.phases.flatMap((phase) =>
        [...phase.budgets].map(([sceneId, total]) => {
          const scene = snapshot.scenes.get(sceneId)!;
          return {
            phaseKey: phase.key,
            sceneId,
            rainId: undefined,
            total,
            packetCapFen: scene.packetCapFen,
            rule: scene.amount.rule,
          };
        }),
      ),
    );

  return {
    async apply(source) {
      const read = readCampaign(source);
      if ('problems' in read) return read;
      const { draft } = read;
      const stored = await store.storeCampaign({
        id: draft.campaign as CampaignId,
        contentHash: contentHash(draft),
        source,
        phases: draft.phases.map((phase) => phase.id as PhaseId),
      });
      const refusal = await setBudgets(compileCampaign(draft, stored));
      if (refusal) return refusal;
      await announcer.announce((now) => ({
        campaigns: [...now.campaigns.filter((one) => one.id !== stored.id), announced(stored)],
        // A new file has new times; moves of the old one would hit rounds that are planned anew.
        cues: now.cues.filter((cue) => cue.campaignId !== stored.id),
      }));
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

const announced = (stored: StoredCampaign): AnnouncedCampaign => ({
  id: stored.id,
  version: stored.version,
  contentHash: stored.contentHash,
  source: stored.source,
  phaseKeys: Object.fromEntries(stored.phaseKeys),
});
