import type { Logger } from 'pino';
import type { Ledger, Payout, PayoutAnswer, Withdrawal } from '../../engines/ports.ts';
import { createPauses, type Pauses } from '../../guard/pauses.ts';
import { createSlots } from '../../guard/slots.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { backOffMs } from '../../rules/back-off.ts';
import { newRate, takeUpTo } from '../../rules/rate-limit.ts';
import type { WithdrawalId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';

export interface PayerOptions {
  readonly ledger: Ledger;
  readonly payout: Payout;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onFatal: (error: unknown) => void;
  /** Questions to the payout at once. Withdrawals that wait between two questions hold no place. */
  readonly concurrencyMax?: number;
  /** Withdrawals kept in memory; what is beyond waits in the ledger. */
  readonly trackedMax?: number;
  /** First pause before asking again, in ms; doubles up to `retryMsMax`. */
  readonly retryMs?: number;
  readonly retryMsMax?: number;
  /** How often the ledger is looked through for withdrawals that nobody works on. */
  readonly sweepMs?: number;
  readonly nudgesPerSecondMax?: number;
}

export interface Payer {
  start(): void;
  /** Ends the questions under way; what is not known yet stays `paying`, and is asked for at the next start. */
  stop(): Promise<void>;
  /** Takes a withdrawal up, unless it is being worked on or has ended. */
  take(withdrawal: Withdrawal): void;
  /**
   * Something may be known now: ask at once instead of at the next turn. Harmless however often and for whatever id;
   * false when too many came in this second.
   */
  nudge(id: WithdrawalId): boolean;
  status(): { readonly trackedWithdrawals: number; readonly unknownAnswers: number };
}

const CONCURRENCY_MAX = 8;
const TRACKED_MAX = 10_000;
const SWEEP_ROWS = 200;
const NUDGES_PER_SECOND_MAX = 1_000;
/** Between two questions about one withdrawal, however often somebody nudges. */
const NUDGE_MS_MIN = 50;

/** A withdrawal that is being worked on. */
interface Tracked {
  readonly pauses: Pauses;
  /** Somebody told of news of it since it was last asked about: that may be on its way beside an older answer. */
  isNudged: boolean;
}

/**
 * Pays what is held. The withdrawal is `paying` before the payout is first asked, so that after a crash it is asked
 * what became of it; and since the payout knows payments by the withdrawal's id, asking for payment again is the same
 * payment. Only a known answer settles: a time-out is no failure.
 */
export function createPayer(options: PayerOptions): Payer {
  const { ledger, payout, clock, logger } = options;
  const trackedMax = options.trackedMax ?? TRACKED_MAX;
  const slots = createSlots(options.concurrencyMax ?? CONCURRENCY_MAX);
  const nudgesPerSecond = options.nudgesPerSecondMax ?? NUDGES_PER_SECOND_MAX;
  const nudges = newRate(nudgesPerSecond, clock.monotonicMs() - 1_000);
  const sweeps = createPauses();
  const tracked = new Map<WithdrawalId, Tracked>();
  /** What was worked on at any moment since the last look began: it may be settled by the time its answer is here. */
  let underWay = new Set<WithdrawalId>();
  const jobs = new Set<Promise<void>>();
  let unknownAnswers = 0;
  let running: Promise<void> = Promise.resolve();

  /** From `held` or `paying` to its end, or until stopping. */
  async function payOut(withdrawal: Withdrawal, one: Tracked): Promise<void> {
    let answer = await slots.run(() => firstAnswer(withdrawal));
    for (let tries = 0; answer && !(await settled(withdrawal, answer)); tries += 1) {
      await rest(one, tries);
      answer = await slots.run(
        answer.answer === 'unheard-of' ? () => pay(withdrawal) : () => query(withdrawal),
      );
    }
  }

  /** What a process before this one may have asked for is asked about, never paid blindly. */
  const firstAnswer = (withdrawal: Withdrawal): Promise<PayoutAnswer | undefined> =>
    withdrawal.state === 'paying' ? query(withdrawal) : pay(withdrawal);

  const query = async (withdrawal: Withdrawal): Promise<PayoutAnswer | undefined> =>
    sweeps.stopped ? undefined : payout.query(withdrawal);

  /**
   * Never without the ledger's word of this moment that it is still to be paid: what we hold in hand may be an old
   * look, and the money back in the wallet by now. Undefined when it has ended, or when stopping.
   */
  async function pay(withdrawal: Withdrawal): Promise<PayoutAnswer | undefined> {
    if (sweeps.stopped || !(await ledger.markPaying(withdrawal.id, withdrawal.account))) return undefined;
    return payout.pay(withdrawal);
  }

  /** Whether that was the end of it. */
  async function settled(withdrawal: Withdrawal, answer: PayoutAnswer): Promise<boolean> {
    const { id: withdrawalId, account } = withdrawal;
    switch (answer.answer) {
      case 'paid':
        await ledger.settle(withdrawalId, account, 'paid', clock.now());
        return true;
      case 'rejected':
        await ledger.settle(withdrawalId, account, 'returned', clock.now());
        logger.warn(
          { withdrawalId, reason: answer.reason },
          'a payout was rejected; the money is back in the wallet',
        );
        return true;
      case 'unknown':
        unknownAnswers += 1;
        logger.warn(
          { withdrawalId, reason: answer.reason },
          'what became of a payout is unknown; it is asked again',
        );
        return false;
      case 'processing':
      case 'unheard-of':
        return false;
    }
  }

  async function rest(one: Tracked, tries: number): Promise<void> {
    const { retryMs: firstMs = 500, retryMsMax: maxMs = 30_000 } = options;
    const pauseMs = backOffMs({ firstMs, maxMs }, tries, options.random());
    const leastMs = Math.min(NUDGE_MS_MIN, pauseMs);
    await sweeps.pause(leastMs);
    if (!one.isNudged) await one.pauses.pause(pauseMs - leastMs);
    one.isNudged = false;
  }

  function take(withdrawal: Withdrawal): void {
    if (sweeps.stopped || tracked.has(withdrawal.id) || tracked.size >= trackedMax) return;
    if (withdrawal.state !== 'held' && withdrawal.state !== 'paying') return;
    const one: Tracked = { pauses: createPauses(), isNudged: false };
    tracked.set(withdrawal.id, one);
    underWay.add(withdrawal.id);
    const job = payOut(withdrawal, one)
      .catch((error: unknown) => onJobFailed(withdrawal, error))
      .finally(() => {
        tracked.delete(withdrawal.id);
        jobs.delete(job);
      });
    jobs.add(job);
  }

  /** What may pass is taken up by the next sweep; a broken invariant is not for this room to survive. */
  function onJobFailed(withdrawal: Withdrawal, error: unknown): void {
    if (!(error instanceof RetryableFault)) options.onFatal(error);
    else logger.warn({ withdrawalId: withdrawal.id, reason: error.message }, 'a payout waits for the ledger');
  }

  async function sweep(): Promise<void> {
    while (!sweeps.stopped) {
      try {
        // Those that are tracked are among the oldest: room for as many again and some more finds the others.
        underWay = new Set(tracked.keys());
        const found = await ledger.unsettled(underWay.size + SWEEP_ROWS);
        for (const withdrawal of found) if (!underWay.has(withdrawal.id)) take(withdrawal);
      } catch (error) {
        if (!(error instanceof RetryableFault)) return options.onFatal(error);
        logger.warn({ reason: error.message }, 'unsettled withdrawals could not be looked at');
      }
      await sweeps.pause(options.sweepMs ?? 2_000);
    }
  }

  return {
    start() {
      running = sweep();
    },
    async stop() {
      sweeps.stop();
      for (const { pauses } of tracked.values()) pauses.stop();
      await running;
      await Promise.all(jobs);
    },
    take,
    nudge(id) {
      if (takeUpTo(nudges, 1, clock.monotonicMs()) === 0) return false;
      const one = tracked.get(id);
      if (one) {
        one.isNudged = true;
        one.pauses.wake();
      }
      return true;
    },
    status: () => ({ trackedWithdrawals: tracked.size, unknownAnswers }),
  };
}
