import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { nextRain, phaseAt, rainAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Rain } from '../../campaign/snapshot.ts';
import { admit, type PlayerRouteDeps } from '../../guard/http.ts';
import type { Player } from '../../guard/player.ts';
import { isRefusal } from '../../protocol/failures.ts';
import {
  BilingualShape,
  CampaignParams,
  FenShape,
  problemResponses,
  sendProblem,
  sendProblemOf,
  TimeMsShape,
} from '../../protocol/http.ts';
import type { ThrottleLevel } from '../../rules/throttle.ts';
import { AWARD_TYPES } from '../../vocabulary/award-type.ts';
import { fenToJson } from '../../vocabulary/fen.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { OpenedPacket, Play, Prize, ShakeAnswer } from './play.ts';

export interface PlayRouteDeps extends PlayerRouteDeps {
  readonly play: Play;
  readonly clock: Clock;
  readonly throttle: () => ThrottleLevel;
  /** Whether this person may ask now; a few requests a second, whatever the connection. */
  readonly allow: (player: Player) => boolean;
  readonly onShake: (prize: Prize['prize']) => void;
}

const Base64Url = Type.String({ maxLength: 2_000, pattern: '^[A-Za-z0-9_-]*$', description: 'base64url' });
const ThrottleShape = Type.Object({
  level: Type.Integer(),
  intervalMs: Type.Integer(),
  jitterMs: Type.Integer(),
  localPermille: Type.Integer(),
});
const RainShape = Type.Object({ rainId: Type.Integer(), startsAtMs: TimeMsShape, endsAtMs: TimeMsShape });
const CampaignShape = Type.Object({
  id: Type.String(),
  title: BilingualShape,
  phase: Type.Optional(Type.String()),
  rain: Type.Optional(RainShape),
  nextRain: Type.Optional(RainShape),
  serverTimeMs: TimeMsShape,
  sponsors: Type.Array(Type.Object({ id: Type.String(), name: BilingualShape })),
});
const ShakeShape = Type.Object({
  prize: Type.Enum(['nothing', 'greeting', 'ticket']),
  sponsorId: Type.Optional(Type.String()),
  sponsor: Type.Optional(BilingualShape),
  text: Type.Optional(BilingualShape),
  ticket: Type.Optional(Base64Url),
  expiresAtMs: Type.Optional(TimeMsShape),
  claimRecord: Type.Optional(Base64Url),
  throttle: ThrottleShape,
});
const PacketShape = Type.Object({
  awardType: Type.Enum(AWARD_TYPES, { description: 'cash, or the kind of piece' }),
  amountFen: FenShape,
  orderNumber: Type.String(),
  token: Base64Url,
  bill: BilingualShape,
  drawnAtMs: TimeMsShape,
  sceneId: Type.String(),
  rainId: Type.Integer(),
  sponsorId: Type.String(),
});

const rainJson = (rain: Rain) => ({ rainId: rain.id, startsAtMs: rain.startsAtMs, endsAtMs: rain.endsAtMs });

function campaignJson(campaign: CampaignSnapshot, nowMs: ReturnType<Clock['now']>) {
  const phase = phaseAt(campaign, nowMs);
  const rain = phase && rainAt(phase, nowMs);
  const next = phase && nextRain(phase, nowMs);
  return {
    id: campaign.id,
    title: campaign.title,
    ...(phase ? { phase: phase.id } : {}),
    ...(rain ? { rain: rainJson(rain) } : {}),
    ...(next ? { nextRain: rainJson(next) } : {}),
    serverTimeMs: nowMs,
    sponsors: [...campaign.sponsors.values()].map(({ id, name }) => ({ id, name })),
  };
}

function shakeJson({ prize, claimRecord }: ShakeAnswer, throttle: ThrottleLevel) {
  const common = {
    throttle: { ...throttle },
    ...(claimRecord ? { claimRecord: claimRecord.toString('base64url') } : {}),
  };
  switch (prize.prize) {
    case 'nothing':
      return { prize: 'nothing' as const, ...common };
    case 'greeting':
      return { prize: 'greeting' as const, sponsorId: prize.sponsorId, text: prize.text, ...common };
    case 'ticket':
      return {
        prize: 'ticket' as const,
        ticket: prize.ticket.toString('base64url'),
        sponsorId: prize.sponsor.id,
        sponsor: prize.sponsor.name,
        expiresAtMs: prize.expiresAtMs,
        ...common,
      };
  }
}

const packetJson = ({ amountFen, orderNumber, token, scene, order }: OpenedPacket) => ({
  awardType: order.awardType,
  amountFen: fenToJson(amountFen),
  orderNumber,
  token: Buffer.from(token).toString('base64url'),
  bill: scene.bill,
  drawnAtMs: order.drawnAtMs,
  sceneId: scene.id,
  rainId: order.rainId,
  sponsorId: scene.sponsorId,
});

/** Shaking and opening over HTTP, for those without a WebSocket, and what the page needs to know of a campaign. */
export const playRoutes: FastifyPluginAsyncTypebox<PlayRouteDeps> = async (app, deps) => {
  app.get(
    '/v1/campaigns/:campaignId',
    {
      schema: {
        summary: 'What is on',
        params: CampaignParams,
        response: { 200: CampaignShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const campaign = deps.campaign(request.params.campaignId);
      return campaign
        ? campaignJson(campaign, deps.clock.now())
        : sendProblemOf(reply, 'campaign-unknown', 'no campaign of this id is in force');
    },
  );

  app.post(
    '/v1/campaigns/:campaignId/shakes',
    {
      schema: {
        summary: 'Shake',
        params: CampaignParams,
        body: Type.Object(
          {
            claimRecord: Type.Optional(Base64Url),
            shakes: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
          },
          { additionalProperties: false },
        ),
        response: { 200: ShakeShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const admitted = await admit(deps, request);
      if (isRefusal(admitted)) return sendProblem(reply, admitted);
      if (!deps.allow(admitted.player))
        return sendProblemOf(reply, 'throttled', 'at most a few requests a second');
      const answer = await deps.play.shake(
        admitted.player,
        admitted.campaign,
        Buffer.from(request.body.claimRecord ?? '', 'base64url'),
      );
      if (isRefusal(answer)) return sendProblem(reply, answer);
      deps.onShake(answer.prize.prize);
      return reply.send(shakeJson(answer, deps.throttle()));
    },
  );

  app.post(
    '/v1/campaigns/:campaignId/packets',
    {
      schema: {
        summary: 'Open a packet. The same ticket again gives the same packet',
        params: CampaignParams,
        body: Type.Object({ ticket: Base64Url }, { additionalProperties: false }),
        response: { 200: PacketShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const admitted = await admit(deps, request);
      if (isRefusal(admitted)) return sendProblem(reply, admitted);
      if (!deps.allow(admitted.player))
        return sendProblemOf(reply, 'throttled', 'at most a few requests a second');
      const opened = await deps.play.open(
        admitted.player,
        admitted.campaign,
        Buffer.from(request.body.ticket, 'base64url'),
      );
      return isRefusal(opened) ? sendProblem(reply, opened) : reply.send(packetJson(opened));
    },
  );
};
