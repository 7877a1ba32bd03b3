import type { FastifyRequest } from 'fastify';
import type { CampaignSnapshot } from '../campaign/snapshot.ts';
import { isRefusal, type Refusal, refuse } from '../protocol/failures.ts';
import type { Player } from './player.ts';

/** What every player's route needs: who is asking, and in which campaign. */
export interface PlayerRouteDeps {
  readonly authenticate: (request: FastifyRequest) => Promise<Player | Refusal>;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
}

/** The person and the campaign of a request, or why it goes no further. */
export async function admit(
  deps: PlayerRouteDeps,
  request: FastifyRequest,
): Promise<{ readonly player: Player; readonly campaign: CampaignSnapshot } | Refusal> {
  const player = await deps.authenticate(request);
  if (isRefusal(player)) return player;
  const { campaignId } = request.params as { campaignId: string };
  const campaign = deps.campaign(campaignId);
  if (!campaign) return refuse('campaign-unknown', 'no campaign of this id is in force');
  if (!campaign.apps.has(player.appId))
    return refuse('forbidden', 'this app does not take part in the campaign');
  return { player, campaign };
}
