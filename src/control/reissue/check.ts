import { phaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { ReissueChecked, ReissueLineUnchecked } from '../../engines/ports.ts';
import type { ActId, AppId, PhaseKey } from '../../vocabulary/ids.ts';
import { formatOrderNumber, type OrderNumber } from '../../vocabulary/order-number.ts';

export interface CheckDeps {
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly actIdFor: (appId: AppId, userKey: Uint8Array) => Promise<ActId>;
  /** Whether the order stands in the log or in the ledger. */
  readonly isGiven: (actId: ActId, phaseKey: PhaseKey, orderNumber: OrderNumber) => Promise<boolean>;
}

/** Finds out who a line is about, and whether they have it already. Moves nothing. */
export async function checkLine(deps: CheckDeps, line: ReissueLineUnchecked): Promise<ReissueChecked> {
  const campaign = deps.campaign(line.campaignId);
  const scene = campaign?.scenes.get(line.sceneId);
  const phase = campaign && phaseAt(campaign, line.drawnAtMs);
  if (!campaign || !scene || !phase)
    return { line: line.line, wrong: 'the campaign was changed while the list came in; bring it again' };
  const actId = await deps.actIdFor(line.appId, line.userKey);
  const orderNumber = formatOrderNumber({
    actId,
    sceneId: scene.id,
    rainId: line.rainId,
    awardType: scene.award,
    stage: phase.id,
  });
  const before = await deps.isGiven(actId, phase.key, orderNumber);
  return { line: line.line, actId, phaseKey: phase.key, orderNumber, before };
}
