import { useEffect, useRef, useState } from 'preact/hooks';
import type { HongbaoClient, Withdrawal } from '../client/index.ts';
import { parseYuan, yuan } from './money.ts';
import { problemText } from './problem-text.ts';
import type { Language, Words } from './words.ts';

interface Props {
  client: HongbaoClient;
  words: Words;
  language: Language;
  balanceFen: number;
  onCancel: () => void;
  onAsked: (withdrawal: Withdrawal) => void;
}

/** How much; then whether it is right. Money leaves only after the second. */
export function WithdrawForm(props: Props) {
  const [text, setText] = useState('');
  const [confirming, setConfirming] = useState<number>();
  return confirming === undefined ? (
    <Amount {...props} text={text} onText={setText} onNext={setConfirming} />
  ) : (
    <Confirm {...props} fen={confirming} onChange={() => setConfirming(undefined)} />
  );
}

type AmountProps = Props & { text: string; onText: (text: string) => void; onNext: (fen: number) => void };

function Amount({ words, balanceFen, onCancel, text, onText, onNext }: AmountProps) {
  const [isWrong, setIsWrong] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);

  const submit = (event: Event) => {
    event.preventDefault();
    const fen = parseYuan(text);
    if (fen !== undefined && fen <= balanceFen) return onNext(fen);
    setIsWrong(true);
    input.current?.focus();
  };

  return (
    <section class="wallet" aria-label={words.withdrawTitle}>
      <form class="sheet" onSubmit={submit}>
        <h2>{words.withdrawTitle}</h2>
        <label class="label" htmlFor="amount">
          {words.amount}
        </label>
        <div class="field">
          <span aria-hidden="true">¥</span>
          <input
            id="amount"
            name="amount"
            inputMode="decimal"
            autoComplete="off"
            value={text}
            aria-invalid={isWrong}
            aria-describedby="amount-help"
            ref={input}
            onInput={(event) => {
              setIsWrong(false);
              onText(event.currentTarget.value);
            }}
          />
          <button
            type="button"
            class="quiet"
            onClick={() => {
              setIsWrong(false);
              onText(yuan(balanceFen));
            }}
          >
            {words.all}
          </button>
        </div>
        <p class={`label${isWrong ? ' wrong' : ''}`} id="amount-help" role={isWrong ? 'alert' : undefined}>
          {isWrong ? words.amountWrong : `${words.balance} ¥${yuan(balanceFen)}`}
        </p>
        <button type="submit" class="gold">
          {words.next}
        </button>
        <button type="button" class="plain" onClick={onCancel}>
          {words.cancel}
        </button>
      </form>
    </section>
  );
}

type ConfirmProps = Props & { fen: number; onChange: () => void };

function Confirm({ client, words, language, balanceFen, fen, onChange, onAsked }: ConfirmProps) {
  const [problem, setProblem] = useState<unknown>();
  const [asking, setAsking] = useState(false);
  const sheet = useRef<HTMLElement>(null);
  useEffect(() => sheet.current?.focus(), []);

  const ask = async () => {
    if (asking) return;
    setAsking(true);
    setProblem(undefined);
    try {
      onAsked(await client.withdraw(fen));
    } catch (error) {
      // The amount stays: asking again for it is the same withdrawal, should this one have come through.
      setProblem(error);
      setAsking(false);
    }
  };

  return (
    <section class="wallet" aria-label={words.confirmTitle} ref={sheet} tabIndex={-1}>
      <div class="sheet" aria-busy={asking}>
        <h2>{words.confirmTitle}</h2>
        <p class="label">{words.confirmAsk}</p>
        <p class="balance">
          <small>¥</small>
          {yuan(fen)}
        </p>
        <p class="label">
          {words.remaining} ¥{yuan(balanceFen - fen)}
        </p>
        {problem !== undefined && (
          <p class="label wrong" role="alert">
            {problemText(problem, words, language)}
          </p>
        )}
        <button type="button" class="gold" aria-disabled={asking} onClick={() => void ask()}>
          {words.confirm}
        </button>
        <button type="button" class="plain" onClick={() => asking || onChange()}>
          {words.change}
        </button>
      </div>
    </section>
  );
}
