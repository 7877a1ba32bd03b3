import type { Award, Connector, FulfilAnswer, FulfilAsk } from '../../engines/ports.ts';
import { type BreakerState, createBreaker } from '../../guard/breaker.ts';
import { createPauses } from '../../guard/pauses.ts';
import { createSlots } from '../../guard/slots.ts';
import { newRate, takeUpTo, waitMs } from '../../rules/rate-limit.ts';
import type { Clock } from '../../vocabulary/instant.ts';

/** What a downstream bears of each process that asks it; they know nothing of one another. */
export interface LaneLimits {
  /** Questions at once. */
  readonly concurrencyMax: number;
  /** Questions a second; undefined for no limit. */
  readonly perSecondMax: number | undefined;
}

export interface LaneOptions extends LaneLimits {
  readonly connector: Connector;
  readonly clock: Clock;
  readonly random: () => number;
  /** The pieces of this lane that are due, those that wait longest first. */
  readonly due: (limit: number) => Promise<readonly Award[]>;
  /** One turn with one piece; asks through `question` only. Never rejects with what may pass. */
  readonly turn: (award: Award, question: Question) => Promise<void>;
  /** A look or a turn failed. */
  readonly onFault: (error: unknown) => void;
  readonly onBreaker?: (state: BreakerState) => void;
  /** Between two looks for what is due. */
  readonly sweepMs: number;
  readonly probeMsFirst: number;
}

/** Puts one question to the downstream, when its rate allows; undefined when stopping, or while it is away. */
export type Question = (kind: 'give' | 'query', ask: FulfilAsk) => Promise<FulfilAnswer | undefined>;

/** One downstream's own way: its places, its rate and its breaker, so that it holds up no other. */
export interface Lane {
  start(): void;
  stop(): Promise<void>;
  /** Looks for due pieces at once. */
  wake(): void;
  status(): { readonly inHand: number; readonly breaker: BreakerState };
}

/** Pieces in hand for each question that may be put at once: enough that no place is empty between two looks. */
export const IN_HAND_FOR_EACH = 2;
/** Pieces seen at a look, in the same way: a look costs as much as handing out a few. */
const SEEN_FOR_EACH = 16;
const SEEN_MAX = 1_000;
const FAULTS_TO_OPEN = 8;
const PROBE_MS_MAX = 30_000;
/** What a probe asks about, turn by turn: one piece that is never answered must not keep the others waiting. */
const PROBED_MAX = 8;

export function createLane(options: LaneOptions): Lane {
  const { connector, clock } = options;
  const pauses = createPauses();
  const slots = createSlots(options.concurrencyMax);
  const rate = newRate(options.perSecondMax, clock.monotonicMs() - 1_000);
  const inHandMax = options.concurrencyMax * IN_HAND_FOR_EACH;
  const inHand = new Map<string, Promise<void>>();
  /** Seen due at the last look, and not taken up yet. Who takes one up later finds out whether it still is. */
  let waiting: Award[] = [];
  const unanswered: FulfilAsk[] = [];
  let isMoreDue = false;
  let running: Promise<void> = Promise.resolve();

  const breaker = createBreaker({
    faultsToOpen: FAULTS_TO_OPEN,
    probeMsFirst: options.probeMsFirst,
    probeMsMax: PROBE_MS_MAX,
    random: options.random,
    probe,
    onChange: (state) => {
      options.onBreaker?.(state);
      if (state === 'closed') pauses.wake();
    },
  });

  /** Asks what became of something that was not answered: harmless, and about nothing that anybody waits for. */
  async function probe(): Promise<void> {
    const ask = unanswered.shift();
    if (!ask) return;
    unanswered.push(ask);
    const answer = await connector.query(ask);
    if (isAway(answer)) throw new Error(answer.reason);
  }

  /** Only the question itself holds a place: what is written before and after it is no matter of the downstream's. */
  const question: Question = (kind, ask) => slots.run(() => put(kind, ask));

  async function put(kind: 'give' | 'query', ask: FulfilAsk): Promise<FulfilAnswer | undefined> {
    while (takeUpTo(rate, 1, clock.monotonicMs()) === 0) {
      if (pauses.stopped) return undefined;
      await pauses.pause(waitMs(rate, 1) ?? options.sweepMs);
    }
    if (pauses.stopped || !breaker.lets) return undefined;
    const answer = await connector[kind](ask);
    if (isAway(answer)) {
      unanswered.push(ask);
      if (unanswered.length > PROBED_MAX) unanswered.shift();
      breaker.failed();
    } else breaker.succeeded();
    return answer;
  }

  async function turn(award: Award): Promise<void> {
    // Seen before it went away: the next look finds it again.
    if (pauses.stopped || !breaker.lets) return;
    await options.turn(award, question);
  }

  function take(award: Award): void {
    const id = `${award.account.phaseKey}/${award.orderNumber}`;
    if (inHand.has(id)) return;
    const job = turn(award)
      .catch(options.onFault)
      .finally(() => {
        inHand.delete(id);
        takeNext();
        if (isMoreDue && waiting.length === 0) pauses.wake();
      });
    inHand.set(id, job);
  }

  function takeNext(): void {
    while (!pauses.stopped && inHand.size < inHandMax) {
      const next = waiting.shift();
      if (!next) return;
      take(next);
    }
  }

  async function look(): Promise<void> {
    if (waiting.length > 0) return;
    isMoreDue = false;
    if (!breaker.lets) return;
    // What is in hand may be due still, and stands before the others.
    const limit = inHand.size + Math.min(SEEN_MAX, options.concurrencyMax * SEEN_FOR_EACH);
    waiting = [...(await options.due(limit))];
    isMoreDue = waiting.length === limit;
    takeNext();
  }

  async function sweep(): Promise<void> {
    while (!pauses.stopped) {
      await look().catch(options.onFault);
      await pauses.pause(options.sweepMs);
    }
  }

  return {
    start() {
      running = sweep();
    },
    async stop() {
      pauses.stop();
      breaker.stop();
      await running;
      await Promise.all(inHand.values());
    },
    wake: () => pauses.wake(),
    status: () => ({ inHand: inHand.size, breaker: breaker.state }),
  };
}

const isAway = (answer: FulfilAnswer): answer is Extract<FulfilAnswer, { answer: 'unknown' }> =>
  answer.answer === 'unknown' && answer.isThere !== true;
