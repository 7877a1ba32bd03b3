import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Ledger, Payout, PayoutAnswer, Withdrawal } from '../../engines/ports.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import type { WithdrawalId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';

export interface PayerOptions {
  readonly ledger: Ledger;
  readonly payout: Payout;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onFatal: (error: unknown) => void;
  readonly concurrencyMax?: number;
  /** First pause before asking again, in ms; doubles up to `retryMsMax`. */
  readonly retryMs?: number;
  readonly retryMsMax?: number;
  /** How often the ledger is looked through for withdrawals that nobody works on. */
  readonly sweepMs?: number;
}

export interface Payer {
  start(): void;
  stop(): Promise<void>;
  /** Takes a withdrawal up, unless it is being worked on. */
  take(withdrawal: Withdrawal): void;
  /** Something may be known now: ask at once instead of at the next turn. Harmless however often, for whatever id. */
  nudge(id: WithdrawalId): void;
}

/**
 * Pays what is held. Before the first asking the withdrawal is `paying`, so a crash afterwards asks what became of it
 * instead of paying blindly; the payout's own idempotency by withdrawal id makes asking for payment again the same
 * payment. Only a known answer settles: a time-out is no failure.
 */
export function createPayer(options: PayerOptions): Payer {
  const { ledger, payout, logger } = options;
  const concurrencyMax = options.concurrencyMax ?? 8;
  const stopping = new AbortController();
  const working = new Map<WithdrawalId, AbortController>();
  const jobs = new Set<Promise<void>>();
  let sweeping: Promise<void> = Promise.resolve();

  async function work(withdrawal: Withdrawal, nudged: AbortController): Promise<void> {
    let wakeUp = nudged;
    let answer: PayoutAnswer;
    if (withdrawal.state === 'held') {
      if (!(await ledger.markPaying(withdrawal.id, withdrawal.account))) return;
      answer = await payout.pay(withdrawal);
    } else answer = await payout.query(withdrawal);
    for (let tries = 0; !(await settled(withdrawal, answer)); tries += 1) {
      if (stopping.signal.aborted) return;
      const pauseMs =
        Math.min(options.retryMsMax ?? 30_000, (options.retryMs ?? 500) * 2 ** tries) *
        (0.5 + options.random() / 2);
      await delay(pauseMs, undefined, { signal: AbortSignal.any([stopping.signal, wakeUp.signal]) }).catch(
        () => {},
      );
      wakeUp = new AbortController();
      working.set(withdrawal.id, wakeUp);
      if (stopping.signal.aborted) return;
      answer = answer.answer === 'unheard-of' ? await payout.pay(withdrawal) : await payout.query(withdrawal);
    }
  }

  async function settled(withdrawal: Withdrawal, answer: PayoutAnswer): Promise<boolean> {
    switch (answer.answer) {
      case 'paid':
        await ledger.settle(withdrawal.id, withdrawal.account, 'paid', options.clock.now());
        return true;
      case 'rejected':
        logger.warn(
          { withdrawalId: withdrawal.id, reason: answer.reason },
          'a payout was rejected; the money went back to the wallet',
        );
        await ledger.settle(withdrawal.id, withdrawal.account, 'returned', options.clock.now());
        return true;
      case 'processing':
      case 'unheard-of':
        return false;
      case 'unknown':
        logger.warn(
          { withdrawalId: withdrawal.id, reason: answer.reason },
          'a payout’s outcome is unknown; asking again',
        );
        return false;
    }
  }

  function take(withdrawal: Withdrawal): void {
    if (stopping.signal.aborted || working.has(withdrawal.id) || working.size >= concurrencyMax) return;
    if (withdrawal.state !== 'held' && withdrawal.state !== 'paying') return;
    const nudged = new AbortController();
    working.set(withdrawal.id, nudged);
    const job = work(withdrawal, nudged)
      .catch((error: unknown) => {
        // Whatever passes is taken up by the next sweep; a broken invariant is not for this room to survive.
        if (error instanceof RetryableFault)
          logger.warn(
            { withdrawalId: withdrawal.id, reason: error.message },
            'a payout waits for the ledger',
          );
        else options.onFatal(error);
      })
      .finally(() => {
        working.delete(withdrawal.id);
        jobs.delete(job);
      });
    jobs.add(job);
  }

  async function sweep(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        for (const withdrawal of await ledger.unsettled(100)) take(withdrawal);
      } catch (error) {
        logger.warn({ reason: (error as Error).message }, 'unsettled withdrawals could not be read');
      }
      await delay(options.sweepMs ?? 2_000, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  return {
    start() {
      sweeping = sweep();
    },
    async stop() {
      stopping.abort();
      await sweeping;
      await Promise.all(jobs);
    },
    take,
    nudge: (id) => working.get(id)?.abort(),
  };
}
