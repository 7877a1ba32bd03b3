import { phaseByKey } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Scene } from '../../campaign/snapshot.ts';
import type { Award, AwardScene, FulfilAsk } from '../../engines/ports.ts';
import { parseOrderNumber } from '../../vocabulary/order-number.ts';
import { inHouse } from './in-house.ts';

/** How a piece leaves the house. */
export interface Errand {
  readonly connectorName: string;
  readonly compensate: boolean;
  readonly ask: FulfilAsk;
}

type Campaigns = Iterable<CampaignSnapshot>;

/** Who hands out what a scene gives; undefined for money, which nobody downstream has to do with. */
function connectorNameOf(scene: Scene): string | undefined {
  return scene.award === 'greeting' ? inHouse.name : scene.fulfil?.connector;
}

/** What is to be asked for a piece, and of whom; or why that is not known. The phase's key tells campaigns apart. */
export function errandOf(award: Award, campaigns: Campaigns): Errand | { readonly unknown: string } {
  const parts = parseOrderNumber(award.orderNumber);
  if (!parts) return { unknown: 'its order number can’t be read' };
  const { phaseKey } = award.account;
  for (const campaign of campaigns) {
    if (!phaseByKey(campaign, phaseKey)) continue;
    const scene = campaign.scenes.get(parts.sceneId);
    if (!scene) return { unknown: `campaign ${campaign.id} has no scene ${parts.sceneId} any more` };
    const connectorName = connectorNameOf(scene);
    if (connectorName === undefined) return { unknown: `scene ${scene.id} names no connector` };
    const { orderNumber, worthFen } = award;
    const item = scene.fulfil?.item ?? '';
    return {
      connectorName,
      compensate: scene.flags.compensate,
      ask: { orderNumber, phaseKey, item, actId: parts.actId, worthFen },
    };
  }
  return { unknown: 'no campaign in force has its phase' };
}

/** The scenes of every connector that campaigns in force name, in each of their phases. */
export function scenesByConnector(campaigns: Campaigns): Map<string, AwardScene[]> {
  const scenes = new Map<string, AwardScene[]>();
  for (const campaign of campaigns) {
    for (const scene of campaign.scenes.values()) {
      const name = connectorNameOf(scene);
      if (name === undefined) continue;
      const known = scenes.get(name) ?? [];
      scenes.set(name, [
        ...known,
        ...campaign.phases.map(({ key: phaseKey }) => ({ phaseKey, sceneId: scene.id })),
      ]);
    }
  }
  return scenes;
}
