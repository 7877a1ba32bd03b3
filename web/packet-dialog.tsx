import { useEffect, useRef, useState } from 'preact/hooks';
import { type HongbaoClient, HongbaoProblem, type Packet } from '../client/index.ts';
import { confetti } from './confetti.ts';
import { CountUp } from './count-up.tsx';
import { Dialog } from './dialog.tsx';
import { problemText } from './problem-text.ts';
import type { Language, Words } from './words.ts';

export interface TicketShown {
  readonly ticket: string;
  /** Unknown of a packet that was dealt before the page was loaded. */
  readonly sponsor: { readonly zh: string; readonly en: string } | undefined;
}
interface Props {
  client: HongbaoClient;
  words: Words;
  language: Language;
  shown: TicketShown;
  returnTo: () => HTMLElement | null;
  /** Left without opening, or after it; `error` says why it will never open. */
  onClose: (error?: unknown) => void;
  onWallet: () => void;
}

/** A packet: closed, being opened, open. It is the same packet all along, so that its covers can fly off. */
export function PacketDialog({ client, words, language, shown, returnTo, onClose, onWallet }: Props) {
  const [opening, setOpening] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const [packet, setPacket] = useState<Packet>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const coin = useRef<HTMLButtonElement>(null);
  const onward = useRef<HTMLButtonElement>(null);

  useEffect(() => (packet ? onward : coin).current?.focus(), [packet]);

  const open = async () => {
    if (opening) return;
    setOpening(true);
    setProblem(undefined);
    try {
      setPacket(await client.open(shown.ticket));
      if (canvas.current) confetti(canvas.current);
    } catch (error) {
      if (error instanceof HongbaoProblem && !error.retryable) return onClose(error);
      setProblem(error);
    } finally {
      setOpening(false);
    }
  };

  const from = shown.sponsor ? words.packetFrom(shown.sponsor[language]) : words.unopened;
  return (
    <Dialog
      label={packet ? words.won : words.openLabel}
      returnTo={returnTo}
      onClose={opening ? undefined : () => onClose()}
    >
      <canvas ref={canvas} class="confetti" aria-hidden="true" />
      <div class={`packet${packet ? ' opened' : ''}`}>
        {packet && (
          <div class="letter">
            {packet.awardType === 'cash' ? (
              <>
                <p class="amount">
                  <CountUp fen={packet.amountFen} />
                  <small>{words.yuan}</small>
                </p>
                <p class="bill">{packet.bill[language]}</p>
                <p class="saved">{words.savedToWallet}</p>
              </>
            ) : (
              <>
                <p class="piece">{packet.bill[language]}</p>
                <p class="bill">{words.awardType[packet.awardType] ?? packet.awardType}</p>
                <p class="saved">{words.pieceInWallet}</p>
              </>
            )}
            <div class="choices">
              <button type="button" class="gold" ref={onward} onClick={onWallet}>
                {words.seeWallet}
              </button>
              <button type="button" class="plain" onClick={() => onClose()}>
                {words.again}
              </button>
            </div>
          </div>
        )}
        <div class="pocket" aria-hidden="true" />
        <div class="cover" aria-hidden="true" />
        <p class="from" role="status">
          {packet ? words.won : from}
        </p>
        {!packet && (
          <>
            <button
              type="button"
              class={`open${opening ? ' turning' : ''}`}
              aria-label={problem ? words.openAgain : words.openLabel}
              aria-disabled={opening}
              ref={coin}
              onClick={() => void open()}
            >
              <span aria-hidden="true">{words.open}</span>
            </button>
            <div class="below">
              {problem !== undefined && (
                <p class="trouble" role="alert">
                  {problem instanceof HongbaoProblem && problem.title
                    ? problemText(problem, words, language)
                    : words.openFailed}
                </p>
              )}
              <button
                type="button"
                class="later"
                aria-disabled={opening}
                onClick={() => opening || onClose()}
              >
                {words.later}
              </button>
            </div>
          </>
        )}
      </div>
    </Dialog>
  );
}
