import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { walletPhaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { HotTotals } from '../../engines/ports.ts';
import { CampaignParams, FenShape, problemResponses, sendProblemOf } from '../../protocol/http.ts';
import { fenToJson } from '../../vocabulary/fen.ts';
import type { Clock } from '../../vocabulary/instant.ts';

export interface TotalRouteDeps {
  readonly totals: Pick<HotTotals, 'read'>;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly clock: Clock;
}

const TotalShape = Type.Object({
  phase: Type.String(),
  fen: FenShape,
  packets: Type.Integer({ description: 'Awards of every kind, pieces too; only cash counts as money' }),
});

/**
 * GET …/total: the number on everybody's screen. The same for all, so it needs no session and may be kept for a second
 * by whatever stands in between; here it costs a look into memory.
 */
export const totalRoutes: FastifyPluginAsyncTypebox<TotalRouteDeps> = async (app, deps) => {
  app.get(
    '/v1/campaigns/:campaignId/total',
    {
      schema: {
        summary: 'What was given so far in the phase that is on, or was last; at most a second old',
        params: CampaignParams,
        response: { 200: TotalShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const campaign = deps.campaign(request.params.campaignId);
      if (!campaign) return sendProblemOf(reply, 'campaign-unknown', 'no campaign of this id is in force');
      const phase = walletPhaseAt(campaign, deps.clock.now());
      if (!phase) return sendProblemOf(reply, 'phase-closed', 'no phase of the campaign has begun');
      const total = await deps.totals.read(phase.key);
      return reply
        .header('cache-control', 'public, max-age=1')
        .send({ phase: phase.id, fen: fenToJson(total.fen), packets: total.packets });
    },
  );
};
