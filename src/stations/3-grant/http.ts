import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { UpstreamCredential } from '../../engines/ports.ts';
import { bearerOf } from '../../guard/secrets.ts';
import { isUserName } from '../../guard/sessions.ts';
import { isRefusal } from '../../protocol/failures.ts';
import { FenShape, problemResponses, sendProblem, sendProblemOf, TimeMsShape } from '../../protocol/http.ts';
import { fenToJson, parsePositiveFen } from '../../vocabulary/fen.ts';
import { type AppId, parseRainId, parseSceneId } from '../../vocabulary/ids.ts';
import { instantMs } from '../../vocabulary/instant.ts';
import type { Person } from '../../vocabulary/person.ts';
import type { UpstreamGranter } from './upstream.ts';

export interface GrantRouteDeps {
  readonly upstream: UpstreamGranter;
  readonly credentialOf: (secret: string | undefined) => Promise<UpstreamCredential | undefined>;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly personOf: (appId: AppId, user: string) => Promise<Person>;
}

/** POST /v1/grants: services upstream give a packet to a person. */
export const grantRoutes: FastifyPluginAsyncTypebox<GrantRouteDeps> = async (app, deps) => {
  app.post(
    '/v1/grants',
    {
      schema: {
        summary:
          'Grant a packet (services upstream). The same person, scene, round and phase again gives the first answer',
        body: Type.Object(
          {
            campaignId: Type.String({ maxLength: 64 }),
            sceneId: Type.String({ maxLength: 64 }),
            rainId: Type.Integer({ description: 'The round, from 1; part of the order number' }),
            app: Type.String({ maxLength: 64, description: 'The app’s name in the campaign' }),
            user: Type.String({ maxLength: 128 }),
            amountFen: Type.Optional(Type.Integer({ description: 'For scenes whose amounts callers name' })),
            drawnAtMs: Type.Optional(
              Type.Integer({
                minimum: 1,
                description: 'When it was drawn; chooses the phase, also on a late retry',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            orderNumber: Type.String(),
            amountFen: FenShape,
            drawnAtMs: TimeMsShape,
            replayed: Type.Boolean(),
          }),
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const credential = await deps.credentialOf(bearerOf(request.headers.authorization));
      if (!credential)
        return sendProblemOf(reply, 'credential-invalid', 'send Authorization: Bearer <upstream secret>');
      const { body } = request;
      const campaign = deps.campaign(body.campaignId);
      if (!campaign) return sendProblemOf(reply, 'campaign-unknown', 'no campaign of this id is in force');
      const sceneId = parseSceneId(body.sceneId);
      const scene = sceneId && campaign.scenes.get(sceneId);
      if (!scene) return sendProblemOf(reply, 'scene-unknown', 'the campaign has no such scene');
      const rainId = parseRainId(body.rainId);
      if (!rainId)
        return sendProblemOf(reply, 'rain-unknown', 'rainId is a whole number from 1 to 2147483647');
      const appOf = [...campaign.apps.values()].find((one) => one.name === body.app);
      if (!appOf || !isUserName(body.user))
        return sendProblemOf(
          reply,
          'malformed',
          'app is one of the campaign’s, user is 1 to 128 visible characters',
        );
      const amountFen = body.amountFen === undefined ? undefined : parsePositiveFen(body.amountFen);
      if (body.amountFen !== undefined && amountFen === undefined)
        return sendProblemOf(reply, 'amount-invalid', 'amountFen is a whole number of fen, at least 1');
      const granted = await deps.upstream.grant(credential, {
        campaign,
        scene,
        rainId,
        appId: appOf.id,
        person: await deps.personOf(appOf.id, body.user),
        amountFen,
        drawnAtMs: body.drawnAtMs === undefined ? undefined : instantMs(body.drawnAtMs),
      });
      if (isRefusal(granted)) return sendProblem(reply, granted);
      const { order, replayed } = granted;
      return reply.send({
        orderNumber: order.orderNumber,
        amountFen: fenToJson(order.amountFen),
        drawnAtMs: order.drawnAtMs,
        replayed,
      });
    },
  );
};
