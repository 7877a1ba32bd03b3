import { compileCampaign, contentHash } from '../campaign/compile.ts';
import type { CampaignProblem } from '../campaign/problems.ts';
import { readCampaign } from '../campaign/read.ts';
import type { CampaignDraft } from '../campaign/schema.ts';
import type { CampaignSnapshot } from '../campaign/snapshot.ts';
import type { Allotments, ControlStore, StoredCampaign } from '../engines/ports.ts';
import { isRefusal, type Refusal } from '../protocol/failures.ts';
import type { CampaignId, PhaseId } from '../vocabulary/ids.ts';

export type Applied =
  | { readonly snapshot: CampaignSnapshot }
  | { readonly problems: readonly CampaignProblem[] }
  | Refusal;

export interface Campaigns {
  /** The snapshots in force, by id; replaced whole, never changed. */
  readonly current: ReadonlyMap<string, CampaignSnapshot>;
  /** Checks, stores and puts a campaign file in force. What is wrong changes nothing. */
  apply(source: string): Promise<Applied>;
  /** Puts everything that was applied before in force again. */
  load(): Promise<void>;
}

export function createCampaigns(store: ControlStore, allotments: Allotments): Campaigns {
  const current = new Map<string, CampaignSnapshot>();

  async function putInForce(
    draft: CampaignDraft,
    stored: StoredCampaign,
  ): Promise<CampaignSnapshot | Refusal> {
    const snapshot = compileCampaign(draft, stored);
    const refusal = await allotments.setBudgets(
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
    if (refusal) return refusal;
    current.set(snapshot.id, snapshot);
    return snapshot;
  }

  return {
    current,
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
      const snapshot = await putInForce(draft, stored);
      return isRefusal(snapshot) ? snapshot : { snapshot };
    },
    async load() {
      for (const stored of await store.campaigns()) {
        const read = readCampaign(stored.source);
        if ('problems' in read)
          throw new Error(
            `campaign ${stored.id} was applied by another version of Hongbao and can't be read any more`,
          );
        const put = await putInForce(read.draft, stored);
        if (isRefusal(put)) throw new Error(`campaign ${stored.id}: ${put.detail}`);
      }
    },
  };
}
