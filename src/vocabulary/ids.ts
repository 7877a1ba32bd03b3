import type { Brand } from './brand.ts';

/** One person across all apps of a campaign: a positive int64 given by the identity room (seed: actID). */
export type ActId = Brand<bigint, 'ActId'>;
/** The embedding app (端): a positive int32. */
export type AppId = Brand<number, 'AppId'>;
/** The parent campaign (母活动) that every caller names. */
export type CampaignId = Brand<string, 'CampaignId'>;
/** A phase (子活动) of the campaign: internal test, gray drill, live. The `stage` of an order number. */
export type PhaseId = Brand<string, 'PhaseId'>;
/** The phase as a positive int32, given by control at apply; the second part of every ledger key. Never reused. */
export type PhaseKey = Brand<number, 'PhaseKey'>;
/** One kind of award with its own configuration (场景 ID). */
export type SceneId = Brand<string, 'SceneId'>;
/** One round of the night (红包雨 ID): a positive int32. */
export type RainId = Brand<number, 'RainId'>;
/** Who pays for a packet and whose name is on it. */
export type SponsorId = Brand<string, 'SponsorId'>;
/** A leased piece of a budget: a positive int64 given by control. Never reused. */
export type SliceId = Brand<bigint, 'SliceId'>;
/** One withdrawal: a UUID v7. */
export type WithdrawalId = Brand<string, 'WithdrawalId'>;

const INT64_MAX = 2n ** 63n - 1n;
const INT32_MAX = 2 ** 31 - 1;

/**
 * A name that may be part of an order number. No underscore (`a_b`+`c` would be `a`+`b_c`), nothing that means
 * something to Redis, NATS or HTTP, ASCII only, at most 32 characters.
 */
export const ID_PART = /^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/;

const named =
  <Id extends Brand<string, string>>() =>
  (text: unknown): Id | undefined =>
    typeof text === 'string' && ID_PART.test(text) ? (text as Id) : undefined;

export const parseCampaignId = named<CampaignId>();
export const parsePhaseId = named<PhaseId>();
export const parseSceneId = named<SceneId>();
export const parseSponsorId = named<SponsorId>();

const isInt32 = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= INT32_MAX;

export const parseRainId = (value: unknown): RainId | undefined =>
  isInt32(value) ? (value as RainId) : undefined;
export const parseAppId = (value: unknown): AppId | undefined =>
  isInt32(value) ? (value as AppId) : undefined;

/** From a bigint, or from decimal digits without sign or leading zero. */
export const parseActId = (value: unknown): ActId | undefined => {
  if (typeof value === 'string' && /^[1-9][0-9]{0,18}$/.test(value)) return parseActId(BigInt(value));
  return typeof value === 'bigint' && value > 0n && value <= INT64_MAX ? (value as ActId) : undefined;
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export const parseWithdrawalId = (value: unknown): WithdrawalId | undefined =>
  typeof value === 'string' && UUID.test(value) ? (value as WithdrawalId) : undefined;
