import { compileAnnounced } from '../campaign/announced.ts';
import { compileCampaign, contentHash } from '../campaign/compile.ts';
import type { CampaignProblem } from '../campaign/problems.ts';
import { readCampaign } from '../campaign/read.ts';
import type { CampaignSnapshot, Scene } from '../campaign/snapshot.ts';
import type { Allotments, BudgetSetting, ControlStore, StoredCampaign } from '../engines/ports.ts';
import type { AnnouncedCampaign, Announcement, Cue } from '../protocol/announcement.ts';
import { isRefusal, type Refusal, refuse } from '../protocol/failures.ts';
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
      const snapshot = compileCampaign(draft, { version: 0, contentHash: hash, phaseKeys });
      // Of two files at once the one that is stored last has its budgets set last.
      const stored = await store.inTurn(id, async () => {
        // Budgets first: a file that they refuse must not be the newest at the next start.
        const refusal = await allotments.setBudgets(budgetsOf(snapshot));
        return refusal ?? store.storeCampaign({ id, contentHash: hash, source });
      });
      if (isRefusal(stored)) return stored;
      await announcer.announce((now) => withCampaign(now, stored));
      return { id: stored.id, version: stored.version };
    },
    async load() {
      const now = await announcer.load();
      const stored = await store.campaigns();
      const missingIn = (last: Announcement) => stored.filter((one) => versionIn(last, one.id) < one.version);
      if (missingIn(now).length > 0)
        await announcer.announce((last) => missingIn(last).reduce(withCampaign, last));
    },
    async cue(cue) {
      try {
        const { sequence } = await announcer.announce((now) => withCue(now, cue));
        return { sequence };
      } catch (error) {
        if (error instanceof CueRefused) return error.refusal;
        throw error;
      }
    },
  };
}

class CueRefused extends Error {
  override readonly name = 'CueRefused';
  constructor(readonly refusal: Refusal) {
    super(refusal.detail);
  }
}

/** Looked at as it will be announced: one document that readers refuse would keep every later one from them, too. */
function withCue(now: Announcement, cue: Cue): Pick<Announcement, 'cues'> {
  const campaign = now.campaigns.find((one) => one.id === cue.campaignId);
  if (!campaign)
    throw new CueRefused(refuse('campaign-unknown', `no campaign ${cue.campaignId} is in force`));
  const cues = [...now.cues, cue];
  try {
    compileAnnounced([campaign], cues);
  } catch (error) {
    throw new CueRefused(refuse('malformed', (error as Error).message));
  }
  return { cues };
}

/** Of a campaign in force; 0 when none is. */
const versionIn = ({ campaigns }: Announcement, id: CampaignId): number =>
  campaigns.find((one) => one.id === id)?.version ?? 0;

/** With this version of a campaign in force, unless a newer one is. */
function withCampaign(now: Announcement, stored: StoredCampaign): Announcement {
  if (versionIn(now, stored.id) > stored.version) return now;
  return {
    ...now,
    campaigns: [...now.campaigns.filter((one) => one.id !== stored.id), announced(stored)],
    // A new file has new times; moves of the old one would hit rounds that are planned anew.
    cues: now.cues.filter((cue) => cue.campaignId !== stored.id),
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
