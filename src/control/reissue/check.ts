import { phaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { ReissueChecked, ReissueLineUnchecked } from '../../engines/ports.ts';
import type { ActId, AppId, PhaseKey } from '../../vocabulary/ids.ts';
import { formatOrderNumber, type OrderNumber } from '../../vocabulary/order-number.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';

export interface CheckDeps {
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly personFor: (appId: AppId, userKey: Uint8Array) => Promise<{ readonly person: Person }>;
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
  const { person } = await deps.personFor(line.appId, line.userKey);
  const numberOf = (actId: ActId): OrderNumber =>
    formatOrderNumber({
      actId,
      sceneId: scene.id,
      rainId: line.rainId,
      awardType: scene.award,
      stage: phase.id,
    });
  // They may have got it in another app, before the two were known to be one person.
  const given = await Promise.all(
    idsOf(person).map((actId) => deps.isGiven(actId, phase.key, numberOf(actId))),
  );
  const { actId } = person;
  const before = given.includes(true);
  return { line: line.line, actId, phaseKey: phase.key, orderNumber: numberOf(actId), before };
}
