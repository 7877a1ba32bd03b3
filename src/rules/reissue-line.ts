import { phaseAt } from '../campaign/lookup.ts';
import { nearest, oneOf } from '../campaign/nearest.ts';
import type { CampaignSnapshot, Scene } from '../campaign/snapshot.ts';
import { parseInstant } from '../campaign/times.ts';
import { type Fen, parsePositiveFen } from '../vocabulary/fen.ts';
import {
  type AppId,
  type CampaignId,
  parseRainId,
  parseSceneId,
  type RainId,
  type SceneId,
} from '../vocabulary/ids.ts';
import { type InstantMs, instantMs } from '../vocabulary/instant.ts';

const REQUIRED = ['campaign', 'scene', 'rain', 'app', 'user'] as const;
/** `note` is for whoever reads the file; it stays there. */
const OPTIONAL = ['amountFen', 'drawnAt', 'note'] as const;
const COLUMNS = [...REQUIRED, ...OPTIONAL] as const;
export type ReissueColumn = (typeof COLUMNS)[number];
/** Which column stands at which place. */
export type ReissueHeader = readonly ReissueColumn[];

/** The header's columns in their order; or what is wrong with it, and then nothing of the file can be read. */
export function readReissueHeader(fields: readonly string[]): ReissueHeader | { readonly wrong: string } {
  const columns = fields.map((field) => COLUMNS.find((one) => one === field.trim()));
  const unknown = columns.indexOf(undefined);
  if (unknown >= 0) {
    const name = fields[unknown]!.slice(0, 40);
    return {
      wrong: `the header has a column ${JSON.stringify(name)}; ${nearest(name, COLUMNS) ?? `its columns are ${COLUMNS.join(',')}`}`,
    };
  }
  const header = columns as ReissueColumn[];
  const twice = header.find((one, at) => header.indexOf(one) !== at);
  if (twice) return { wrong: `the header has the column ${twice} twice` };
  const missing = REQUIRED.filter((one) => !header.includes(one));
  return missing.length > 0
    ? { wrong: `the header lacks ${missing.join(', ')}; begin the file with ${COLUMNS.join(',')}` }
    : header;
}

/** What a line asks for. */
export interface ReissueAsk {
  readonly campaignId: CampaignId;
  readonly sceneId: SceneId;
  readonly rainId: RainId;
  readonly appId: AppId;
  readonly user: string;
  readonly amountFen: Fen | undefined;
  readonly drawnAtMs: InstantMs;
}

export interface ReissueContext {
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly campaignIds: readonly string[];
  /** When the list was brought in: the drawing time of lines that name none. */
  readonly madeAtMs: InstantMs;
  readonly isUserName: (user: unknown) => user is string;
}

/** A line of the list; or everything that is wrong with it and what would be right. Never tells who it is about. */
export function readReissueLine(
  header: ReissueHeader,
  fields: readonly string[],
  context: ReissueContext,
): ReissueAsk | { readonly wrong: string } {
  if (fields.length !== header.length)
    return { wrong: `the line has ${fields.length} fields, the header has ${header.length}` };
  const text = (column: ReissueColumn): string => fields[header.indexOf(column)]?.trim() ?? '';
  const campaign = context.campaign(text('campaign'));
  if (!campaign)
    return {
      wrong: `campaign ${quoted(text('campaign'))} is not in force; ${oneOf(text('campaign'), context.campaignIds)}`,
    };
  const wrongs: string[] = [];
  const wrong = (message: string): undefined => {
    wrongs.push(message);
    return undefined;
  };
  const scene = sceneOf(campaign, text('scene'), wrong);
  const rainId = /^[1-9][0-9]{0,9}$/.test(text('rain')) ? parseRainId(Number(text('rain'))) : undefined;
  if (!rainId) wrong(`rain ${quoted(text('rain'))} is no round; write a whole number from 1 to 2147483647`);
  const app = [...campaign.apps.values()].find((one) => one.name === text('app'));
  const names = [...campaign.apps.values()].map((one) => one.name);
  if (!app) wrong(`app ${quoted(text('app'))} is none of the campaign's; ${oneOf(text('app'), names)}`);
  // Not trimmed: a user is what the app calls it, to the last character.
  const user = fields[header.indexOf('user')]!;
  if (!context.isUserName(user)) wrong('user is 1 to 128 visible characters');
  const amountFen = scene && amountOf(scene, text('amountFen'), wrong);
  const drawnAtMs = drawnAt(campaign, text('drawnAt'), context.madeAtMs, wrong);
  if (wrongs.length > 0) return { wrong: wrongs.join('; ') };
  return {
    campaignId: campaign.id,
    sceneId: scene!.id,
    rainId: rainId!,
    appId: app!.id,
    user,
    amountFen,
    drawnAtMs: drawnAtMs!,
  };
}

type Wrong = (message: string) => undefined;

function sceneOf(campaign: CampaignSnapshot, text: string, wrong: Wrong): Scene | undefined {
  const id = parseSceneId(text);
  return (
    (id && campaign.scenes.get(id)) ??
    wrong(`campaign ${campaign.id} has no scene ${quoted(text)}; ${oneOf(text, [...campaign.scenes.keys()])}`)
  );
}

function amountOf(scene: Scene, text: string, wrong: Wrong): Fen | undefined {
  if (scene.amount.rule !== 'given')
    return text === ''
      ? undefined
      : wrong(`amountFen stays empty: the amounts of scene ${scene.id} are its own`);
  const amountFen = parsePositiveFen(text);
  if (!amountFen)
    return wrong(
      `amountFen ${quoted(text)} is no amount; scene ${scene.id} takes a whole number of fen from 1 to ${scene.packetCapFen}`,
    );
  if (amountFen > scene.packetCapFen)
    return wrong(
      `amountFen ${amountFen} is too much; a packet of scene ${scene.id} is at most ${scene.packetCapFen}`,
    );
  return amountFen;
}

function drawnAt(
  campaign: CampaignSnapshot,
  text: string,
  madeAtMs: InstantMs,
  wrong: Wrong,
): InstantMs | undefined {
  const atMs = text === '' ? madeAtMs : readMoment(text);
  if (atMs === undefined)
    return wrong(
      `drawnAt ${quoted(text)} is no moment; write 2027-02-05T20:30:00+08:00, or milliseconds since 1970`,
    );
  if (atMs > madeAtMs) return wrong('drawnAt lies in the future');
  if (!phaseAt(campaign, atMs))
    return wrong(
      text === ''
        ? `drawnAt is needed: campaign ${campaign.id} has no phase now`
        : `campaign ${campaign.id} had no phase at ${text}`,
    );
  return atMs;
}

const readMoment = (text: string): InstantMs | undefined =>
  /^[1-9][0-9]{11,13}$/.test(text) ? instantMs(Number(text)) : parseInstant(text);

const quoted = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
