import type { CampaignInfo } from '../client/index.ts';

const SPREAD_MS = 20_000;
const CALM_MS = 5 * 60_000;

/**
 * How long until the campaign is worth asking about again: once the next round has begun (only then is there another
 * next one to learn of), or after some minutes for changes of plan. Spread, so that a round does not begin with
 * everybody's request. `draw` is from 0 up to, not including, 1.
 */
export function refreshAfterMs(campaign: CampaignInfo | undefined, draw: number): number {
  const spreadMs = Math.ceil(SPREAD_MS * (0.25 + 0.75 * draw));
  if (!campaign) return spreadMs;
  const beginsInMs = campaign.nextRain ? campaign.nextRain.startsAtMs - campaign.serverTimeMs : CALM_MS;
  return Math.min(CALM_MS, Math.max(0, beginsInMs)) + spreadMs;
}
