import { useEffect, useState } from 'preact/hooks';
import type { CampaignInfo } from '../client/index.ts';
import type { Words } from './words.ts';

const TICK_MS = 500;
const FALLING = Array.from({ length: 12 }, (_, index) => index);

/** The round that runs or the one that comes, by the server's clock, and packets falling while it rains. */
export function Sky({ campaign, words }: { campaign: CampaignInfo | undefined; words: Words }) {
  const [nowMs, setNowMs] = useState(Date.now());
  const [aheadMs, setAheadMs] = useState(0);
  useEffect(() => {
    if (campaign) setAheadMs(campaign.serverTimeMs - Date.now());
  }, [campaign]);
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  if (!campaign) return <p class="rain">{words.connecting}</p>;
  const at = nowMs + aheadMs;
  const rounds = [campaign.rain, campaign.nextRain].filter((round) => round !== undefined);
  const current = rounds.find((round) => at >= round.startsAtMs && at < round.endsAtMs);
  const next = rounds.find((round) => at < round.startsAtMs);
  const text = current
    ? `${words.rainNow} · ${words.rainEnds(clock(current.endsAtMs - at))}`
    : next
      ? words.rainNext(clock(next.startsAtMs - at))
      : words.rainNone;
  return (
    <>
      {current && (
        <div class="rainfall" aria-hidden="true">
          {FALLING.map((index) => (
            <i key={index} />
          ))}
        </div>
      )}
      <p class={`rain${current ? ' on' : ''}`}>{text}</p>
    </>
  );
}

const clock = (ms: number): string => {
  const seconds = Math.max(0, Math.ceil(ms / 1_000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
};
