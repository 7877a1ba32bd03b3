import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import {
  type CampaignInfo,
  type HongbaoClient,
  HongbaoProblem,
  type Packet,
  type Prize,
} from '../client/index.ts';
import { confetti } from './confetti.ts';
import { yuan } from './money.ts';
import { askMotion, hasMotion, motionNeedsPermission, onJolt } from './motion.ts';
import type { Language, Words } from './words.ts';

interface Props {
  client: HongbaoClient;
  words: Words;
  language: Language;
  campaign: CampaignInfo | undefined;
  onWallet: () => void;
}

type Ticket = Extract<Prize, { prize: 'ticket' }>;
type Shown =
  | { kind: 'ready' }
  | { kind: 'words'; text: string }
  | { kind: 'greeting'; text: string }
  | { kind: 'ticket'; ticket: string; sponsor: string | undefined; opening: boolean }
  | { kind: 'packet'; packet: Packet };

const SHAKE_SHOWN_MS = 450;

export function ShakeScreen({ client, words, language, campaign, onWallet }: Props) {
  const [shown, setShown] = useState<Shown>({ kind: 'ready' });
  const [shaking, setShaking] = useState(false);
  const [needsMotion, setNeedsMotion] = useState(hasMotion() && motionNeedsPermission());
  const canvas = useRef<HTMLCanvasElement>(null);
  const tries = useRef(0);
  const dialog = shown.kind === 'ticket' || shown.kind === 'packet';

  const ticketShown = (ticket: Ticket) =>
    setShown({ kind: 'ticket', ticket: ticket.ticket, sponsor: ticket.sponsor[language], opening: false });

  const shake = useCallback(async () => {
    if (dialog) return;
    setShaking(true);
    setTimeout(() => setShaking(false), SHAKE_SHOWN_MS);
    tries.current += 1;
    try {
      const prize = await client.shake();
      if (prize.prize === 'ticket') ticketShown(prize);
      else if (prize.prize === 'greeting') setShown({ kind: 'greeting', text: prize.text[language] });
      else
        setShown((now) =>
          prize.local && now.kind === 'greeting'
            ? now
            : { kind: 'words', text: words.nothing[tries.current % words.nothing.length]! },
        );
    } catch (error) {
      setShown({ kind: 'words', text: problemText(error, words, language) });
    }
  }, [client, words, language, dialog]);

  const open = async (ticket: string) => {
    setShown((now) => (now.kind === 'ticket' ? { ...now, opening: true } : now));
    try {
      const packet = await client.open(ticket);
      setShown({ kind: 'packet', packet });
      if (canvas.current) confetti(canvas.current);
    } catch (error) {
      const retry = error instanceof HongbaoProblem && error.retryable;
      setShown((now) =>
        retry && now.kind === 'ticket'
          ? { ...now, opening: false }
          : { kind: 'words', text: problemText(error, words, language) },
      );
    }
  };

  useEffect(() => {
    const waiting = client.unopened()[0];
    if (waiting) setShown({ kind: 'ticket', ticket: waiting.ticket, sponsor: undefined, opening: false });
  }, [client]);
  useEffect(() => (needsMotion ? undefined : onJolt(() => void shake())), [shake, needsMotion]);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const typing =
        event.target instanceof HTMLInputElement ||
        (event.target instanceof HTMLButtonElement && event.code !== 'KeyS');
      if (!event.repeat && !typing && (event.code === 'Space' || event.code === 'KeyS')) {
        event.preventDefault();
        void shake();
      }
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, [shake]);

  return (
    <section class="shake" aria-label={words.tabShake}>
      <canvas ref={canvas} class="confetti" aria-hidden="true" />
      <RainClock campaign={campaign} words={words} />
      <button
        type="button"
        class={`envelope${shaking ? ' shaking' : ''}`}
        aria-label={words.shakeButton}
        onClick={() => void shake()}
        disabled={dialog}
      >
        <span class="flap" />
        <span class="seal" aria-hidden="true">
          福
        </span>
      </button>
      <p class="hint">{hasMotion() ? words.shakeHint : words.shakeHintKeys}</p>
      {needsMotion && (
        <button
          type="button"
          class="gold"
          onClick={() => void askMotion().then((granted) => setNeedsMotion(!granted))}
        >
          {words.allowMotion}
        </button>
      )}
      <div class="result" role="status" aria-live="polite">
        {shown.kind === 'words' && <p>{shown.text}</p>}
        {shown.kind === 'greeting' && <p class="card">💌 {shown.text}</p>}
      </div>
      {shown.kind === 'ticket' && (
        <div class="veil">
          <div class="packet" role="dialog" aria-modal="true" aria-label={words.openLabel}>
            <p>{shown.sponsor ? words.packetFrom(shown.sponsor) : words.unopened}</p>
            <button
              type="button"
              class={`open${shown.opening ? ' turning' : ''}`}
              aria-label={words.openLabel}
              ref={focus}
              disabled={shown.opening}
              onClick={() => void open(shown.ticket)}
            >
              {words.open}
            </button>
          </div>
        </div>
      )}
      {shown.kind === 'packet' && (
        <div class="veil">
          <div class="packet opened" role="dialog" aria-modal="true" aria-label={words.won}>
            <p>{words.won}</p>
            <p class="amount" data-testid="amount">
              <CountUp fen={shown.packet.amountFen} />
              <small>{language === 'zh' ? '元' : 'yuan'}</small>
            </p>
            <p class="bill">{shown.packet.bill[language]}</p>
            <p class="saved">{words.savedToWallet}</p>
            <div class="choices">
              <button type="button" class="gold" ref={focus} onClick={onWallet}>
                {words.seeWallet}
              </button>
              <button type="button" class="plain" onClick={() => setShown({ kind: 'ready' })}>
                {words.again}
              </button>
            </div>
          </div>
        </div>
      )}
    </section>
  );
}

const focus = (element: HTMLElement | null): void => element?.focus();

function problemText(error: unknown, words: Words, language: Language): string {
  if (!(error instanceof HongbaoProblem)) return words.failed;
  if (error.code === 'throttled' || error.code === 'overloaded') return words.busy;
  return (
    error.title?.[language] ??
    (error.code === 'unreachable' || error.code === 'time-out' ? words.offline : words.failed)
  );
}

/** The amount runs up once; the whole of it stands there at once for who asked for less motion. */
function CountUp({ fen }: { fen: number }) {
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const [shown, setShown] = useState(calm ? fen : 0);
  useEffect(() => {
    if (calm) return undefined;
    const start = performance.now();
    let frame = requestAnimationFrame(function run(now) {
      const share = Math.min(1, (now - start) / 700);
      setShown(Math.round(fen * share * (2 - share)));
      if (share < 1) frame = requestAnimationFrame(run);
    });
    return () => cancelAnimationFrame(frame);
  }, [fen, calm]);
  return <span>{yuan(shown)}</span>;
}

function RainClock({ campaign, words }: { campaign: CampaignInfo | undefined; words: Words }) {
  const [nowMs, setNowMs] = useState(Date.now());
  const [offsetMs, setOffsetMs] = useState(0);
  useEffect(() => {
    if (campaign) setOffsetMs(campaign.serverTimeMs - Date.now());
  }, [campaign]);
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  if (!campaign) return <p class="rain">{words.connecting}</p>;
  const at = nowMs + offsetMs;
  const { rain, nextRain } = campaign;
  const current = [rain, nextRain].find((one) => one && at >= one.startsAtMs && at < one.endsAtMs);
  const next = [rain, nextRain].find((one) => one && at < one.startsAtMs);
  const text = current
    ? `${words.rainNow} · ${words.rainEnds(clock(current.endsAtMs - at))}`
    : next
      ? words.rainNext(clock(next.startsAtMs - at))
      : words.rainNone;
  return <p class={`rain${current ? ' on' : ''}`}>{text}</p>;
}

const clock = (ms: number): string => {
  const seconds = Math.max(0, Math.ceil(ms / 1_000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
};
