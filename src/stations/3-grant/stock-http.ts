import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { phaseAt } from '../../campaign/lookup.ts';
import type { Budget, CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { SceneStock, UpstreamCredential } from '../../engines/ports.ts';
import { bearerOf } from '../../guard/secrets.ts';
import { FenShape, problemResponses, sendProblemOf, TimeMsShape } from '../../protocol/http.ts';
import { fenToJson } from '../../vocabulary/fen.ts';
import type { SceneId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Stock } from './stock.ts';

export interface StockRouteDeps {
  readonly stock: Pick<Stock, 'read'>;
  readonly credentialOf: (secret: string | undefined) => Promise<UpstreamCredential | undefined>;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly clock: Clock;
}

const BudgetShape = Type.Object({ packets: Type.Integer(), fen: FenShape });

const SceneStockShape = Type.Object({
  sceneId: Type.String(),
  total: BudgetShape,
  remaining: BudgetShape,
  leased: BudgetShape,
  given: BudgetShape,
  available: Type.Object(BudgetShape.properties, {
    description: 'The least that remains of the scene and of every total above it: plan with this',
  }),
  low: Type.Boolean({
    description: 'Under 10 % remain at the scene or at a total above it: give the consolation from here on',
  }),
});

/** GET /v1/stock: what an upstream's algorithm decides by. */
export const stockRoutes: FastifyPluginAsyncTypebox<StockRouteDeps> = async (app, deps) => {
  app.get(
    '/v1/stock',
    {
      schema: {
        summary:
          'What is left of a scene, or of all of this service’s scenes, in the phase of this moment; at most a second old',
        querystring: Type.Object(
          {
            campaignId: Type.String({ maxLength: 64 }),
            sceneId: Type.Optional(
              Type.String({ maxLength: 64, description: 'All that this service may grant, when left out' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({ asOfMs: TimeMsShape, scenes: Type.Array(SceneStockShape) }),
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const credential = await deps.credentialOf(bearerOf(request.headers.authorization));
      if (!credential)
        return sendProblemOf(reply, 'credential-invalid', 'send Authorization: Bearer <upstream secret>');
      const { campaignId, sceneId } = request.query;
      const campaign = deps.campaign(campaignId);
      if (!campaign) return sendProblemOf(reply, 'campaign-unknown', 'no campaign of this id is in force');
      if (sceneId !== undefined && !campaign.scenes.has(sceneId as SceneId))
        return sendProblemOf(reply, 'scene-unknown', 'the campaign has no such scene');
      const own = credential.campaignId === campaign.id ? [...credential.scenes] : [];
      const asked = sceneId === undefined ? own : own.filter((one) => one === sceneId);
      if (asked.length === 0)
        return sendProblemOf(reply, 'forbidden', 'this credential is not for that campaign and scene');
      const nowMs = deps.clock.now();
      const phase = phaseAt(campaign, nowMs);
      if (!phase) return sendProblemOf(reply, 'phase-closed', `campaign ${campaign.id} has no phase now`);
      const { asOfMs, scenes } = await deps.stock.read(phase.key, asked);
      return reply.send({ asOfMs, scenes: [...scenes.values()].map(stockToJson) });
    },
  );
};

const budgetToJson = ({ packets, fen }: Budget) => ({ packets, fen: fenToJson(fen) });

const stockToJson = (stock: SceneStock) => ({
  sceneId: stock.sceneId,
  total: budgetToJson(stock.total),
  remaining: budgetToJson(stock.remaining),
  leased: budgetToJson(stock.leased),
  given: budgetToJson(stock.given),
  available: budgetToJson(stock.available),
  low: stock.low,
});
