import type { RainId } from '../vocabulary/ids.ts';
import { type InstantMs, instantMs } from '../vocabulary/instant.ts';
import type { CampaignSnapshot, Phase, RainSeries } from './snapshot.ts';

/** A round that the show plays earlier or later than planned: same length, same packets, same number. */
export interface Retiming {
  readonly phaseId: string;
  readonly rainId: number;
  readonly startsAtMs: number;
}

/** The campaign with its rounds moved, or what is wrong with a move: then nothing may be changed. */
export function retime(
  campaign: CampaignSnapshot,
  moves: readonly Retiming[],
): CampaignSnapshot | { readonly wrong: string } {
  let phases = campaign.phases;
  for (const move of moves) {
    const phase = phases.find((one) => one.id === move.phaseId);
    if (!phase) return { wrong: `campaign ${campaign.id} has no phase ${move.phaseId}` };
    const series = moved(phase, move.rainId as RainId, instantMs(move.startsAtMs));
    if ('wrong' in series) return series;
    phases = phases.map((one) => (one === phase ? { ...phase, series: series.series } : one));
  }
  return { ...campaign, phases };
}

function moved(
  phase: Phase,
  rainId: RainId,
  startsAtMs: InstantMs,
): { readonly series: readonly RainSeries[] } | { readonly wrong: string } {
  const from = phase.series.find((one) => rainId >= one.firstRainId && rainId < one.firstRainId + one.count);
  if (!from) return { wrong: `phase ${phase.id} has no round ${rainId}` };
  const alone: RainSeries = { ...from, firstRainId: rainId, startsAtMs, everyMs: from.lastsMs, count: 1 };
  const series = [...phase.series.filter((one) => one !== from), ...without(from, rainId), alone].sort(
    (a, b) => a.startsAtMs - b.startsAtMs,
  );
  if (startsAtMs < phase.opensAtMs || startsAtMs + from.lastsMs > phase.closesAtMs)
    return { wrong: `round ${rainId} would lie outside phase ${phase.id}` };
  const clash = series.find((one, at) => at > 0 && endOf(series[at - 1]!) > one.startsAtMs);
  return clash ? { wrong: `round ${rainId} would overlap another one` } : { series };
}

/** What is left of a series before and behind the round that is taken out. */
function without(series: RainSeries, rainId: RainId): RainSeries[] {
  const at = rainId - series.firstRainId;
  const before = { ...series, count: at };
  const behind = {
    ...series,
    firstRainId: (rainId + 1) as RainId,
    startsAtMs: instantMs(series.startsAtMs + (at + 1) * series.everyMs),
    count: series.count - at - 1,
  };
  return [before, behind].filter((one) => one.count > 0);
}

const endOf = (series: RainSeries): number =>
  series.startsAtMs + (series.count - 1) * series.everyMs + series.lastsMs;
