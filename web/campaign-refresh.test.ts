import { describe, expect, it } from 'vitest';
import type { CampaignInfo } from '../client/index.ts';
import { refreshAfterMs } from './campaign-refresh.ts';

const campaign = (nextInMs?: number): CampaignInfo => ({
  id: 'gala',
  title: { zh: '', en: '' },
  serverTimeMs: 1_000_000,
  sponsors: [],
  ...(nextInMs === undefined
    ? {}
    : { nextRain: { rainId: 2, startsAtMs: 1_000_000 + nextInMs, endsAtMs: 9_000_000 } }),
});

describe('asking about the campaign again', () => {
  it.each<[string, CampaignInfo | undefined, number, number]>([
    // what is known                    soonest  latest
    ['nothing', undefined, 5_000, 20_000],
    ['no further round', campaign(), 305_000, 320_000],
    ['a round in a minute', campaign(60_000), 65_000, 80_000],
    ['a round tomorrow', campaign(86_400_000), 305_000, 320_000],
    ['a round that has begun', campaign(-5_000), 5_000, 20_000],
  ])('knowing of %s', (_, known, soonestMs, latestMs) => {
    expect(refreshAfterMs(known, 0)).toBe(soonestMs);
    expect(refreshAfterMs(known, 1 - Number.EPSILON)).toBe(latestMs);
  });
});
