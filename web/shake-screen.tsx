import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Bilingual, CampaignInfo, HongbaoClient } from '../client/index.ts';
import { GivenSoFar } from './given-so-far.tsx';
import { askMotion, hasMotion, motionNeedsPermission, onJolt } from './motion.ts';
import { PacketDialog, type TicketShown } from './packet-dialog.tsx';
import { problemText } from './problem-text.ts';
import { Sky } from './sky.tsx';
import type { Language, Words } from './words.ts';

interface Props {
  client: HongbaoClient;
  words: Words;
  language: Language;
  campaign: CampaignInfo | undefined;
  onWallet: () => void;
}

/** What the last shake brought; kept without its words, so that it follows the language. */
type Shown =
  | { kind: 'ready' }
  | { kind: 'nothing'; tries: number }
  | { kind: 'greeting'; text: Bilingual }
  | { kind: 'problem'; error: unknown };

const SHAKE_SHOWN_MS = 450;

export function ShakeScreen({ client, words, language, campaign, onWallet }: Props) {
  const [shown, setShown] = useState<Shown>({ kind: 'ready' });
  const [packet, setPacket] = useState<TicketShown>();
  const [waiting, setWaiting] = useState<string>();
  const [shaking, setShaking] = useState(false);
  const [needsMotion, setNeedsMotion] = useState(hasMotion() && motionNeedsPermission());
  const envelope = useRef<HTMLButtonElement>(null);
  const tries = useRef(0);

  const lookForUnopened = useCallback(
    () =>
      client.unopened().then(
        ([first]) => setWaiting(first?.ticket),
        () => {},
      ),
    [client],
  );

  const shake = useCallback(async () => {
    if (packet) return;
    setShaking(true);
    setTimeout(() => setShaking(false), SHAKE_SHOWN_MS);
    tries.current += 1;
    try {
      const prize = await client.shake();
      if (prize.prize === 'ticket') setPacket(prize);
      else if (prize.prize === 'greeting') setShown({ kind: 'greeting', text: prize.text });
      else
        setShown((now) =>
          prize.local && now.kind === 'greeting' ? now : { kind: 'nothing', tries: tries.current },
        );
    } catch (error) {
      setShown({ kind: 'problem', error });
    }
  }, [client, packet]);

  useEffect(() => void lookForUnopened(), [lookForUnopened]);
  useEffect(() => (needsMotion ? undefined : onJolt(() => void shake())), [shake, needsMotion]);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const isTaken =
        event.target instanceof HTMLInputElement ||
        (event.target instanceof HTMLButtonElement && event.code !== 'KeyS');
      if (event.repeat || isTaken || (event.code !== 'Space' && event.code !== 'KeyS')) return;
      event.preventDefault();
      void shake();
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, [shake]);

  return (
    <section class="shake" aria-label={words.tabShake}>
      <Sky campaign={campaign} words={words} />
      <div class="stage">
        <button
          type="button"
          class={`envelope${shaking ? ' shaking' : ''}`}
          aria-label={words.shakeButton}
          ref={envelope}
          onClick={() => void shake()}
        >
          <span class="flap" />
          <span class="seal" aria-hidden="true">
            福
          </span>
        </button>
      </div>
      <GivenSoFar client={client} words={words} />
      <div class="result" role="status" aria-live="polite">
        {shown.kind === 'ready' && <p class="hint">{hasMotion() ? words.shakeHint : words.shakeHintKeys}</p>}
        {shown.kind === 'nothing' && (
          <p key={shown.tries} class="luck">
            {words.nothing[shown.tries % words.nothing.length]}
          </p>
        )}
        {shown.kind === 'greeting' && <p class="card">{shown.text[language]}</p>}
        {shown.kind === 'problem' && <p>{problemText(shown.error, words, language)}</p>}
      </div>
      {needsMotion && (
        <button
          type="button"
          class="gold"
          onClick={() => void askMotion().then((granted) => setNeedsMotion(!granted))}
        >
          {words.allowMotion}
        </button>
      )}
      {waiting !== undefined && !packet && (
        <button
          type="button"
          class="quiet waiting"
          onClick={() => setPacket({ ticket: waiting, sponsor: undefined })}
        >
          {words.unopened}
        </button>
      )}
      {campaign && campaign.sponsors.length > 0 && (
        <p class="sponsors">
          <small>{words.sponsors}</small>
          {campaign.sponsors.map((sponsor) => sponsor.name[language]).join(' · ')}
        </p>
      )}
      {packet && (
        <PacketDialog
          client={client}
          words={words}
          language={language}
          shown={packet}
          returnTo={() => envelope.current}
          onWallet={onWallet}
          onClose={(error) => {
            setPacket(undefined);
            setShown(error === undefined ? { kind: 'ready' } : { kind: 'problem', error });
            void lookForUnopened();
          }}
        />
      )}
    </section>
  );
}
