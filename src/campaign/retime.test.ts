import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PhaseId, PhaseKey } from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import { compileCampaign } from './compile.ts';
import { nextRain, rainAt, rainById } from './lookup.ts';
import { readCampaign } from './read.ts';
import { retime } from './retime.ts';
import type { CampaignSnapshot } from './snapshot.ts';

function campaign(): CampaignSnapshot {
  const read = readCampaign(readFileSync('examples/spring-night.yaml', 'utf8'));
  if (!('draft' in read)) throw new Error('the example is wrong');
  const phaseKeys = new Map(
    read.draft.phases.map((phase, at) => [phase.id as PhaseId, (at + 1) as PhaseKey]),
  );
  return compileCampaign(read.draft, { version: 1, contentHash: '', phaseKeys });
}

describe('a live cue', () => {
  const night = campaign();
  const phase = night.phases.find((one) => one.series.length > 0)!;
  const series = phase.series[0]!;
  const move = (startsAtMs: number, rainId: number = series.firstRainId) =>
    retime(night, [{ phaseId: phase.id, rainId, startsAtMs }]);
  const gapMs = 60_000;

  it('moves a round, which keeps its number, its length and its packets', () => {
    const moved = move(series.startsAtMs + gapMs);
    if ('wrong' in moved) throw new Error(moved.wrong);
    const [before, after] = [phase, moved.phases.find((one) => one.id === phase.id)!];
    const round = rainById(after, series.firstRainId)!;
    expect(round.startsAtMs).toBe(series.startsAtMs + gapMs);
    expect(round.endsAtMs - round.startsAtMs).toBe(series.lastsMs);
    expect(round.deals).toEqual(rainById(before, series.firstRainId)!.deals);
    expect(rainAt(after, instantMs(series.startsAtMs + gapMs))?.id).toBe(series.firstRainId);
    expect(rainAt(after, series.startsAtMs)?.id).not.toBe(series.firstRainId);
    expect(nextRain(after, phase.opensAtMs)?.startsAtMs).toBeLessThanOrEqual(round.startsAtMs);
  });

  it('leaves everything else alone', () => {
    const moved = move(series.startsAtMs + gapMs) as CampaignSnapshot;
    for (const one of night.phases.filter(({ id }) => id !== phase.id))
      expect(moved.phases.find(({ id }) => id === one.id)).toBe(one);
  });

  it('is refused when the round would lie outside its phase, or on another, or is not there', () => {
    expect(move(phase.opensAtMs - 1)).toHaveProperty('wrong');
    expect(move(phase.closesAtMs - series.lastsMs + 1)).toHaveProperty('wrong');
    const next = nextRain(phase, series.startsAtMs);
    if (next) expect(move(next.startsAtMs)).toHaveProperty('wrong');
    expect(move(series.startsAtMs, 2 ** 31 - 1)).toHaveProperty('wrong');
    expect(retime(night, [{ phaseId: 'nowhere', rainId: 1, startsAtMs: 0 }])).toHaveProperty('wrong');
  });

  it('takes one round out of a series, and leaves those before and behind where they are', () => {
    const rounds = {
      ...phase,
      series: [{ ...series, count: 5, everyMs: series.lastsMs + 10_000 }],
      closesAtMs: instantMs(phase.closesAtMs + 10 * (series.lastsMs + 20_000)),
    };
    const long = { ...night, phases: [rounds] };
    const third = series.firstRainId + 2;
    const moved = retime(long, [
      { phaseId: phase.id, rainId: third, startsAtMs: rounds.closesAtMs - series.lastsMs },
    ]);
    if ('wrong' in moved) throw new Error(moved.wrong);
    const [after] = moved.phases;
    for (const at of [0, 1, 3, 4]) {
      const id = (series.firstRainId + at) as typeof series.firstRainId;
      expect(rainById(after!, id)?.startsAtMs).toBe(rainById(rounds, id)!.startsAtMs);
    }
    expect(rainAt(after!, rainById(rounds, third as typeof series.firstRainId)!.startsAtMs)).toBeUndefined();
  });
});
