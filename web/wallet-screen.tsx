import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type {
  HongbaoClient,
  UnconfirmedWithdrawal,
  WalletLine,
  WalletOverview,
  Withdrawal,
} from '../client/index.ts';
import { Awards } from './awards.tsx';
import { yuan } from './money.ts';
import { problemText } from './problem-text.ts';
import { Records } from './records.tsx';
import { WithdrawForm } from './withdraw-form.tsx';
import { WithdrawResult } from './withdraw-result.tsx';
import type { Language, Words } from './words.ts';

interface Props {
  client: HongbaoClient;
  words: Words;
  language: Language;
}

/** Lines behind the first page. */
interface More {
  readonly lines: readonly WalletLine[];
  readonly cursor: string | undefined;
}

export function WalletScreen({ client, words, language }: Props) {
  const [overview, setOverview] = useState<WalletOverview>();
  const [more, setMore] = useState<More>();
  const [unconfirmed, setUnconfirmed] = useState<UnconfirmedWithdrawal[]>([]);
  const [problem, setProblem] = useState<unknown>();
  const [withdrawal, setWithdrawal] = useState<Withdrawal>();
  const [asking, setAsking] = useState(false);
  /** One request at a time: a second tap is none. */
  const busy = useRef(false);
  const section = useFocusOnArrival();

  const alone = useCallback(async (act: () => Promise<void>) => {
    if (busy.current) return;
    busy.current = true;
    setProblem(undefined);
    try {
      await act();
    } catch (error) {
      setProblem(error);
    } finally {
      busy.current = false;
    }
  }, []);
  const refresh = useCallback(
    () =>
      alone(async () => {
        setUnconfirmed(await client.unconfirmedWithdrawals());
        setOverview(await client.wallet());
        setMore(undefined);
      }),
    [client, alone],
  );
  useEffect(() => void refresh(), [refresh]);

  const loadMore = (cursor: string) =>
    alone(async () => {
      const page = await client.records(cursor);
      setMore({ lines: [...(more?.lines ?? []), ...page.records], cursor: page.nextCursor });
    });
  const check = ({ amountFen }: UnconfirmedWithdrawal) =>
    alone(async () => setWithdrawal(await client.withdraw(amountFen)));

  if (withdrawal) {
    return (
      <WithdrawResult
        client={client}
        words={words}
        first={withdrawal}
        onDone={() => {
          setWithdrawal(undefined);
          void refresh();
        }}
      />
    );
  }
  if (asking && overview) {
    return (
      <WithdrawForm
        client={client}
        words={words}
        language={language}
        balanceFen={overview.balanceFen}
        onCancel={() => {
          setAsking(false);
          void refresh();
        }}
        onAsked={(asked) => {
          setAsking(false);
          setWithdrawal(asked);
        }}
      />
    );
  }
  const cursor = more ? more.cursor : overview?.nextCursor;
  return (
    <section class="wallet" aria-label={words.tabWallet} ref={section} tabIndex={-1}>
      <div class="sheet" aria-busy={!overview}>
        <p class="label">{words.balance}</p>
        <p class="balance" data-testid="balance">
          {overview ? (
            <>
              <small>¥</small>
              {yuan(overview.balanceFen)}
            </>
          ) : (
            <span class="unread">{problem === undefined ? words.loading : '—'}</span>
          )}
        </p>
        <p class="label">
          {words.income} {overview ? `¥${yuan(overview.totalIncomeFen)}` : '—'}
        </p>
        {overview?.complete === false && (
          <p class="label" role="status">
            {words.incomplete}
          </p>
        )}
        <button
          type="button"
          class="gold"
          disabled={!overview || overview.balanceFen <= 0}
          onClick={() => setAsking(true)}
        >
          {words.withdraw}
        </button>
      </div>
      {problem !== undefined && (
        <div class="notice" role="alert">
          <p>{problemText(problem, words, language)}</p>
          <button type="button" class="quiet" onClick={() => void refresh()}>
            {words.retry}
          </button>
        </div>
      )}
      {unconfirmed.map((pending) => (
        <div class="notice" key={pending.amountFen}>
          <p>{words.unconfirmed(yuan(pending.amountFen))}</p>
          <button type="button" class="quiet" onClick={() => void check(pending)}>
            {words.check}
          </button>
        </div>
      ))}
      {overview?.awards && overview.awards.length > 0 && (
        <Awards
          awards={overview.awards}
          client={client}
          words={words}
          language={language}
          onUsed={() => void refresh()}
        />
      )}
      <h2>{words.records}</h2>
      {overview && (
        <Records lines={[...overview.records, ...(more?.lines ?? [])]} words={words} language={language} />
      )}
      {cursor && (
        <button type="button" class="plain" onClick={() => void loadMore(cursor)}>
          {words.more}
        </button>
      )}
    </section>
  );
}

/** Where a screen takes the place of another, the focus goes with it; a tab that was pressed keeps it. */
function useFocusOnArrival() {
  const arrived = useRef<HTMLElement>(null);
  useEffect(() => {
    const { activeElement } = document;
    if (activeElement === null || activeElement === document.body) arrived.current?.focus();
  }, []);
  return arrived;
}
