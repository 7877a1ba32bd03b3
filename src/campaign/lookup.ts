import { createHash } from 'node:crypto';
import type { ActId, PhaseId, PhaseKey, RainId } from '../vocabulary/ids.ts';
import { type InstantMs, instantMs } from '../vocabulary/instant.ts';
import type { CampaignSnapshot, Phase, Rain, RainSeries } from './snapshot.ts';

/** The phase in force at a moment. Windows are half open: at its closing moment a phase is over. */
export const phaseAt = (campaign: CampaignSnapshot, atMs: InstantMs): Phase | undefined =>
  campaign.phases.find((phase) => atMs >= phase.opensAtMs && atMs < phase.closesAtMs);

/** The phase whose wallet is shown: the one in force, else the last that ended. */
export const walletPhaseAt = (campaign: CampaignSnapshot, atMs: InstantMs): Phase | undefined =>
  phaseAt(campaign, atMs) ?? campaign.phases.findLast((phase) => phase.closesAtMs <= atMs);

export const phaseByKey = (campaign: CampaignSnapshot, key: PhaseKey): Phase | undefined =>
  campaign.phases.find((phase) => phase.key === key);

export const phaseById = (campaign: CampaignSnapshot, id: PhaseId): Phase | undefined =>
  campaign.phases.find((phase) => phase.id === id);

/** The round in force at a moment: by arithmetic inside a series, by bisection between them. */
export function rainAt(phase: Phase, atMs: InstantMs): Rain | undefined {
  const series = seriesBefore(phase, atMs);
  if (!series) return undefined;
  const at = Math.floor((atMs - series.startsAtMs) / series.everyMs);
  if (at >= series.count || atMs >= series.startsAtMs + at * series.everyMs + series.lastsMs)
    return undefined;
  return rainOf(series, at);
}

/** The round that begins next after a moment. */
export function nextRain(phase: Phase, atMs: InstantMs): Rain | undefined {
  const series = seriesBefore(phase, atMs);
  const following = phase.series.find((one) => one.startsAtMs > atMs);
  if (series) {
    const at = Math.floor((atMs - series.startsAtMs) / series.everyMs) + 1;
    if (at < series.count) return rainOf(series, at);
  }
  return following && rainOf(following, 0);
}

export function rainById(phase: Phase, id: RainId): Rain | undefined {
  const series = phase.series.find((one) => id >= one.firstRainId && id < one.firstRainId + one.count);
  return series && rainOf(series, id - series.firstRainId);
}

function seriesBefore(phase: Phase, atMs: InstantMs): RainSeries | undefined {
  let low = 0;
  let high = phase.series.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (phase.series[middle]!.startsAtMs <= atMs) low = middle + 1;
    else high = middle;
  }
  return phase.series[low - 1];
}

/** The round that was made last for a series: the hot path asks for the same one a hundred thousand times a second. */
const lastMade = new WeakMap<RainSeries, { at: number; rain: Rain }>();

function rainOf(series: RainSeries, at: number): Rain {
  const last = lastMade.get(series);
  if (last?.at === at) return last.rain;
  const startsAtMs = instantMs(series.startsAtMs + at * series.everyMs);
  const rain: Rain = {
    id: (series.firstRainId + at) as RainId,
    startsAtMs,
    endsAtMs: instantMs(startsAtMs + series.lastsMs),
    deals: series.deals,
  };
  lastMade.set(series, { at, rain });
  return rain;
}

/** Whether a person is in a phase's audience: always the same people, spread by a hash. */
export function inAudience(phase: Phase, actId: ActId): boolean {
  if (phase.audiencePermille >= 1000) return true;
  const digest = createHash('sha256').update(`${phase.id}\0${actId}`).digest();
  return digest.readUInt32BE(0) % 1000 < phase.audiencePermille;
}
