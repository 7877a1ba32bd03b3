import { useCallback, useEffect, useState } from 'preact/hooks';
import {
  type HongbaoClient,
  HongbaoProblem,
  type WalletLine,
  type WalletOverview,
  type Withdrawal,
} from '../client/index.ts';
import { parseYuan, yuan } from './money.ts';
import type { Language, Words } from './words.ts';

interface Props {
  client: HongbaoClient;
  words: Words;
  language: Language;
}

const POLL_MS = 700;

export function WalletScreen({ client, words, language }: Props) {
  const [overview, setOverview] = useState<WalletOverview>();
  const [more, setMore] = useState<{ lines: readonly WalletLine[]; cursor: string | undefined }>();
  const [error, setError] = useState<string>();
  const [step, setStep] = useState<'overview' | 'withdraw' | 'result'>('overview');
  const [withdrawal, setWithdrawal] = useState<Withdrawal>();

  const refresh = useCallback(async () => {
    try {
      setOverview(await client.wallet());
      setMore(undefined);
      setError(undefined);
    } catch (problem) {
      setError(textOf(problem, words, language));
    }
  }, [client, words, language]);
  useEffect(() => void refresh(), [refresh]);

  const loadMore = async (cursor: string) => {
    const page = await client.records(cursor);
    setMore({ lines: [...(more?.lines ?? []), ...page.records], cursor: page.nextCursor });
  };

  if (step === 'withdraw' && overview) {
    return (
      <WithdrawForm
        client={client}
        words={words}
        language={language}
        balanceFen={overview.balanceFen}
        onCancel={() => setStep('overview')}
        onAsked={(asked) => {
          setWithdrawal(asked);
          setStep('result');
        }}
      />
    );
  }
  if (step === 'result' && withdrawal) {
    return (
      <WithdrawResult
        client={client}
        words={words}
        first={withdrawal}
        onDone={() => {
          setStep('overview');
          void refresh();
        }}
      />
    );
  }
  const cursor = more ? more.cursor : overview?.nextCursor;
  const lines = [...(overview?.records ?? []), ...(more?.lines ?? [])];
  return (
    <section class="wallet" aria-label={words.tabWallet}>
      <div class="sheet">
        <p class="label">{words.balance}</p>
        <p class="balance" data-testid="balance">
          <small>¥</small>
          {yuan(overview?.balanceFen ?? 0)}
        </p>
        <p class="label">
          {words.income} ¥{yuan(overview?.totalIncomeFen ?? 0)}
        </p>
        <button
          type="button"
          class="gold"
          disabled={!overview || overview.balanceFen <= 0}
          onClick={() => setStep('withdraw')}
        >
          {words.withdraw}
        </button>
      </div>
      {error && (
        <p class="notice" role="alert">
          {error}
        </p>
      )}
      <h2>{words.records}</h2>
      {overview && lines.length === 0 && <p class="empty">{words.noRecords}</p>}
      <ul class="records">
        {lines.map((line) => (
          <li key={line.ref}>
            <span>
              {line.bill[language]}
              <time dateTime={new Date(line.atMs).toISOString()}>
                {new Date(line.atMs).toLocaleString(language === 'zh' ? 'zh-CN' : 'en-GB', {
                  dateStyle: 'short',
                  timeStyle: 'short',
                })}
              </time>
            </span>
            <span class={line.amountFen < 0 ? 'out' : 'in'}>
              {line.amountFen < 0 ? '' : '+'}
              {yuan(line.amountFen)}
              {line.kind === 'withdrawal' && <small>{words.recordState[line.status] ?? line.status}</small>}
            </span>
          </li>
        ))}
      </ul>
      {cursor && (
        <button type="button" class="plain" onClick={() => void loadMore(cursor)}>
          {words.more}
        </button>
      )}
    </section>
  );
}

interface FormProps extends Props {
  balanceFen: number;
  onCancel: () => void;
  onAsked: (withdrawal: Withdrawal) => void;
}

function WithdrawForm({ client, words, language, balanceFen, onCancel, onAsked }: FormProps) {
  const [text, setText] = useState('');
  const [error, setError] = useState<string>();
  const [asking, setAsking] = useState(false);

  const submit = async (event: Event) => {
    event.preventDefault();
    const fen = parseYuan(text);
    if (fen === undefined || fen > balanceFen) return setError(words.amountWrong);
    setAsking(true);
    try {
      onAsked(await client.withdraw(fen));
    } catch (problem) {
      setAsking(false);
      setError(textOf(problem, words, language));
    }
  };

  return (
    <section class="wallet" aria-label={words.withdrawTitle}>
      <form class="sheet" onSubmit={(event) => void submit(event)}>
        <h2>{words.withdrawTitle}</h2>
        <label>
          <span class="label">{words.amount}</span>
          <span class="field">
            <span aria-hidden="true">¥</span>
            <input
              name="amount"
              inputMode="decimal"
              autoComplete="off"
              value={text}
              aria-invalid={error ? 'true' : undefined}
              aria-describedby="amount-help"
              ref={focus}
              onInput={(event) => setText(event.currentTarget.value)}
            />
            <button type="button" class="quiet" onClick={() => setText(yuan(balanceFen))}>
              {words.all}
            </button>
          </span>
        </label>
        <p class="label" id="amount-help" role={error ? 'alert' : undefined}>
          {error ?? `${words.balance} ¥${yuan(balanceFen)}`}
        </p>
        <button type="submit" class="gold" disabled={asking}>
          {words.confirm}
        </button>
        <button type="button" class="plain" onClick={onCancel}>
          {words.cancel}
        </button>
      </form>
    </section>
  );
}

const focus = (element: HTMLElement | null): void => {
  if (element && document.activeElement === document.body) element.focus();
};

function WithdrawResult({
  client,
  words,
  first,
  onDone,
}: {
  client: HongbaoClient;
  words: Words;
  first: Withdrawal;
  onDone: () => void;
}) {
  const [withdrawal, setWithdrawal] = useState(first);
  const settled = withdrawal.state === 'paid' || withdrawal.state === 'returned';
  useEffect(() => {
    if (settled) return undefined;
    const timer = setInterval(
      () => client.withdrawal(first.withdrawalId).then(setWithdrawal, () => {}),
      POLL_MS,
    );
    return () => clearInterval(timer);
  }, [client, first.withdrawalId, settled]);
  const said =
    withdrawal.state === 'paid'
      ? words.statePaid
      : withdrawal.state === 'returned'
        ? words.stateReturned
        : words.stateWorking;
  return (
    <section class="wallet" aria-label={words.withdrawTitle}>
      <div class="sheet result-sheet">
        <p class={`stamp ${withdrawal.state}`} aria-hidden="true">
          {withdrawal.state === 'paid' ? '✓' : withdrawal.state === 'returned' ? '↩' : '…'}
        </p>
        <p class="balance">
          <small>¥</small>
          {yuan(withdrawal.amountFen)}
        </p>
        <p role="status" data-testid="withdrawal-state" data-state={withdrawal.state}>
          {said}
        </p>
        <button type="button" class="gold" onClick={onDone}>
          {words.done}
        </button>
      </div>
    </section>
  );
}

function textOf(problem: unknown, words: Words, language: Language): string {
  if (!(problem instanceof HongbaoProblem)) return words.failed;
  return problem.title?.[language] ?? (problem.code === 'unreachable' ? words.offline : words.failed);
}
