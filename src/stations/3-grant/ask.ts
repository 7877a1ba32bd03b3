import { type Static, Type } from 'typebox';
import { Check } from 'typebox/value';
import type { CampaignSnapshot, Scene } from '../../campaign/snapshot.ts';
import { isUserName } from '../../guard/sessions.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import { type Fen, parsePositiveFen } from '../../vocabulary/fen.ts';
import { type AppId, parseRainId, parseSceneId, type RainId } from '../../vocabulary/ids.ts';
import { type InstantMs, instantMs } from '../../vocabulary/instant.ts';

const FIELDS = 'campaignId, sceneId, rainId, app, user, and perhaps amountFen and drawnAtMs';

export const AskShape = Type.Object(
  {
    campaignId: Type.String({ maxLength: 64, description: 'The parent campaign' }),
    sceneId: Type.String({ maxLength: 64 }),
    rainId: Type.Integer({ description: 'The round, from 1; part of the order number' }),
    app: Type.String({ maxLength: 64, description: 'The app’s name in the campaign' }),
    user: Type.String({ maxLength: 128 }),
    amountFen: Type.Optional(
      Type.Integer({ description: 'For scenes whose amounts callers name, and only for these' }),
    ),
    drawnAtMs: Type.Optional(
      Type.Integer({ minimum: 1, description: 'When it was drawn; chooses the phase, also on a late retry' }),
    ),
  },
  { additionalProperties: false, description: 'Who gets what' },
);

/** An ask as it came, from JSON or protobuf; its shape holds, what it means is not checked yet. */
export type RawAsk = Static<typeof AskShape>;

export interface ReadAsk {
  readonly campaign: CampaignSnapshot;
  readonly scene: Scene;
  readonly rainId: RainId;
  readonly appId: AppId;
  readonly user: string;
  readonly amountFen: Fen | undefined;
  readonly drawnAtMs: InstantMs | undefined;
}

/** Reads one ask by itself: one that makes no sense among many spoils none of them. */
export function readAsk(
  raw: unknown,
  campaignOf: (id: string) => CampaignSnapshot | undefined,
): ReadAsk | Refusal {
  if (!Check(AskShape, raw))
    return refuse('malformed', `an ask has ${FIELDS}, each of its type, and no others`);
  const campaign = campaignOf(raw.campaignId);
  if (!campaign) return refuse('campaign-unknown', 'no campaign of this id is in force');
  const sceneId = parseSceneId(raw.sceneId);
  const scene = sceneId && campaign.scenes.get(sceneId);
  if (!scene) return refuse('scene-unknown', 'the campaign has no such scene');
  const rainId = parseRainId(raw.rainId);
  if (!rainId) return refuse('rain-unknown', 'rainId is a whole number from 1 to 2147483647');
  const app = [...campaign.apps.values()].find((one) => one.name === raw.app);
  if (!app || !isUserName(raw.user))
    return refuse('malformed', 'app is one of the campaign’s, user is 1 to 128 visible characters');
  const amountFen = raw.amountFen === undefined ? undefined : parsePositiveFen(raw.amountFen);
  if (raw.amountFen !== undefined && amountFen === undefined)
    return refuse('amount-invalid', 'amountFen is a whole number of fen, at least 1');
  const drawnAtMs = raw.drawnAtMs === undefined ? undefined : instantMs(raw.drawnAtMs);
  return { campaign, scene, rainId, appId: app.id, user: raw.user, amountFen, drawnAtMs };
}
