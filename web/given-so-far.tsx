import { useEffect, useState } from 'preact/hooks';
import type { GivenTotal, HongbaoClient } from '../client/index.ts';
import { askAgainAfterMs, givenAfter } from './given.ts';
import { yuan } from './money.ts';
import type { Words } from './words.ts';

/** What everybody together was given so far. Not announced: a voice that says a number each second helps nobody. */
export function GivenSoFar({ client, words }: { client: HongbaoClient; words: Words }) {
  const [given, setGiven] = useState<GivenTotal>();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let isGone = false;
    let failures = 0;
    const look = async () => {
      // Nobody sees it: nobody asks.
      const answer = document.hidden ? undefined : await client.total().catch(() => null);
      if (isGone) return;
      if (answer) setGiven((shown) => givenAfter(shown, answer));
      failures = answer === null ? failures + 1 : 0;
      timer = setTimeout(() => void look(), askAgainAfterMs(failures, client.throttle(), Math.random()));
    };
    void look();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [client]);
  if (!given || given.packets === 0) return null;
  return (
    <p class="given">
      {words.givenSoFar} <b data-testid="given">¥{grouped(yuan(given.fen))}</b>
    </p>
  );
}

const grouped = (text: string): string => text.replace(/\B(?=(\d{3})+(?=\.))/g, ',');
