import { useEffect, useRef, useState } from 'preact/hooks';
import type { HongbaoClient, Withdrawal } from '../client/index.ts';
import { yuan } from './money.ts';
import type { Words } from './words.ts';

interface Props {
  client: HongbaoClient;
  words: Words;
  first: Withdrawal;
  onDone: () => void;
}

/** Most are paid within a second; the few that take long are asked for ever less often. */
const POLL_FIRST_MS = 500;
const POLL_MAX_MS = 10_000;
const SLOWER = 1.4;

/** What becomes of a withdrawal. Unknown is "on its way", never "failed". */
export function WithdrawResult({ client, words, first, onDone }: Props) {
  const [withdrawal, setWithdrawal] = useState(first);
  const sheet = useRef<HTMLElement>(null);
  useEffect(() => sheet.current?.focus(), []);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let isGone = false;
    const look = async (afterMs: number) => {
      const now = await client.withdrawal(first.withdrawalId).catch(() => undefined);
      if (isGone) return;
      if (now) setWithdrawal(now);
      if (now?.state !== 'paid' && now?.state !== 'returned')
        timer = setTimeout(() => void look(Math.min(POLL_MAX_MS, afterMs * SLOWER)), afterMs);
    };
    void look(POLL_FIRST_MS);
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [client, first.withdrawalId]);

  const { state, amountFen } = withdrawal;
  const [sign, said] =
    state === 'paid'
      ? ['✓', words.statePaid]
      : state === 'returned'
        ? ['↩', words.stateReturned]
        : ['…', words.stateWorking];
  return (
    <section class="wallet" aria-label={words.withdrawTitle} ref={sheet} tabIndex={-1}>
      <div class="sheet result-sheet">
        <p class={`stamp ${state}`} aria-hidden="true">
          {sign}
        </p>
        <p class="balance">
          <small>¥</small>
          {yuan(amountFen)}
        </p>
        <p role="status" data-testid="withdrawal-state" data-state={state}>
          {said}
        </p>
        <button type="button" class="gold" onClick={onDone}>
          {words.done}
        </button>
      </div>
    </section>
  );
}
