import type { Logger } from 'pino';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { Award, Awards, Connector, FulfilAnswer } from '../../engines/ports.ts';
import type { BreakerState } from '../../guard/breaker.ts';
import { createPauses } from '../../guard/pauses.ts';
import { BrokenInvariant, RetryableFault } from '../../protocol/failures.ts';
import { backOffMs } from '../../rules/back-off.ts';
import { type AfterAnswer, afterAnswer, firstQuestion } from '../../rules/fulfilment.ts';
import { type Clock, instantMs } from '../../vocabulary/instant.ts';
import { hurryDueAhead } from './hurry.ts';
import { inHouse } from './in-house.ts';
import { createLane, IN_HAND_FOR_EACH, type Lane, type LaneLimits, type Question } from './lane.ts';
import { type Errand, errandOf, scenesByConnector } from './scenes.ts';

/** A downstream, and what it bears. */
export interface Downstream extends LaneLimits {
  readonly connector: Connector;
  /** No question takes longer. */
  readonly timeoutMs: number;
}

export interface FulfillerOptions {
  readonly awards: Awards;
  /**
   * By the name that scenes use; undefined when operations have configured none of that name. Asked again and again:
   * another object than before is another downstream, or the same one on other terms.
   */
  readonly downstream: (name: string) => Downstream | undefined;
  /** Those in force. */
  readonly campaigns: () => Iterable<CampaignSnapshot>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onFatal: (error: unknown) => void;
  /** Told of every answer, and of every end. */
  readonly onAnswer?: (connector: string, answer: FulfilAnswer['answer']) => void;
  readonly onSettled?: (connector: string, state: 'fulfilled' | 'dead') => void;
  /** First pause before a piece is asked for or about again, in ms; doubles up to `retryMsMax`. */
  readonly retryMs?: number;
  readonly retryMsMax?: number;
  /** How often each lane looks for what is due. */
  readonly sweepMs?: number;
  /** How often pieces are looked for that nobody can hand out, and how long each is left alone then. */
  readonly strayMs?: number;
  readonly probeMsFirst?: number;
}

export interface Fulfiller {
  start(): void;
  /** Ends the questions under way; what is not known yet stays `asking`. */
  stop(): Promise<void>;
  /** Looks for due pieces at once. */
  wake(): void;
  /** By connector. */
  status(): Readonly<Record<string, { readonly inHand: number; readonly breaker: BreakerState }>>;
}

const IN_HOUSE: Downstream = {
  connector: inHouse,
  concurrencyMax: 16,
  perSecondMax: undefined,
  timeoutMs: 0,
};
/** Of a claim, beyond the questions. */
const CLAIM_MARGIN_MS = 2_000;

/**
 * How long nobody else takes up a piece that is in hand: two questions of its own, behind those of the others that were
 * taken up with it. A crash leaves it alone for as long. Should it be too short, two ask for the same piece.
 */
function claimMsOf({ timeoutMs, concurrencyMax, perSecondMax }: Downstream): number {
  const questions = 2 * IN_HAND_FOR_EACH;
  const atItsRateMs = perSecondMax === undefined ? 0 : (questions * concurrencyMax * 1_000) / perSecondMax;
  return CLAIM_MARGIN_MS + questions * timeoutMs + atItsRateMs;
}
const STRAY_ROWS = 200;
const STRAY_LEFT_ALONE_TIMES = 6;

/**
 * Hands pieces out. A piece is `asking` before a downstream is first asked, so that after a crash it is asked what
 * became of it; and since downstreams know pieces by the order number, asking for one again is the same piece. Only a
 * known answer settles. Several processes may do this side by side: whoever looks moves the piece's due time away
 * before asking, and should two ask all the same, it is the same piece.
 */
export function createFulfiller(options: FulfillerOptions): Fulfiller {
  const { awards, clock, logger } = options;
  const sweepMs = options.sweepMs ?? 500;
  const strayMs = options.strayMs ?? 5_000;
  const strayLeftAloneMs = strayMs * STRAY_LEFT_ALONE_TIMES;
  const retryMsMax = options.retryMsMax ?? 300_000;
  const pauses = createPauses();
  const lanes = new Map<string, { readonly lane: Lane; readonly downstream: Downstream }>();
  let running: Promise<void> = Promise.resolve();

  const later = (ms: number) => instantMs(Math.ceil(clock.now() + ms));
  const downstreamOf = (name: string): Downstream | undefined =>
    name === inHouse.name ? IN_HOUSE : options.downstream(name);

  /** One piece's turn: claim, ask, write down what is known. */
  async function handOut(award: Award, errand: Errand, question: Question, claimMs: number): Promise<void> {
    const { account, orderNumber, dueAtMs } = award;
    const claim = { dueAtMs, untilMs: later(claimMs) };
    if (!(await awards.markAsking(account, orderNumber, claim))) return;
    let asked = firstQuestion(award.state);
    let after = await answered(errand, asked, question);
    if (after?.act === 'give') {
      asked = 'give';
      after = await answered(errand, asked, question);
    }
    if (after) await note(award, errand, after);
    else await letGo(award);
  }

  /** Nobody was asked, or nobody shall wait any more: due now, whatever our claim or another one said. */
  async function letGo({ account, orderNumber, reason = '' }: Award): Promise<void> {
    const dueAtMs = clock.now();
    await awards.deferAward(account, orderNumber, { dueAtMs, reason, again: false, asked: false });
  }

  /** Undefined when stopping, or when the downstream turned out to be away. */
  async function answered(
    errand: Errand,
    asked: 'give' | 'query',
    question: Question,
  ): Promise<AfterAnswer | undefined> {
    const answer = await question(asked, errand.ask);
    if (!answer) return undefined;
    options.onAnswer?.(errand.connectorName, answer.answer);
    return afterAnswer(answer, { asked, compensate: errand.compensate });
  }

  async function note(award: Award, { connectorName }: Errand, after: AfterAnswer): Promise<void> {
    const { account, orderNumber } = award;
    if (after.act === 'settle') {
      if (await settledAs(award, after.end)) options.onSettled?.(connectorName, after.end.state);
      if (after.end.state === 'dead')
        logger.warn({ orderNumber, connectorName, reason: after.end.reason }, 'a piece is a dead letter');
      return;
    }
    const reason = 'reason' in after ? after.reason : 'no such order';
    const pauseMs = backOffMs(
      { firstMs: options.retryMs ?? 1_000, maxMs: retryMsMax },
      award.tries,
      options.random(),
    );
    logger.info({ orderNumber, connectorName, reason, tries: award.tries + 1 }, 'a piece is asked for again');
    const again = after.act === 'give-again';
    await awards.deferAward(account, orderNumber, { dueAtMs: later(pauseMs), reason, again });
  }

  /**
   * False when it had another end already. A downstream that contradicts itself, to two processes, does not break us:
   * the first end holds, and a person finds it in the log.
   */
  async function settledAs(
    { account, orderNumber }: Award,
    end: Extract<AfterAnswer, { act: 'settle' }>['end'],
  ): Promise<boolean> {
    try {
      await awards.settleAward(account, orderNumber, end);
      return true;
    } catch (error) {
      if (!(error instanceof BrokenInvariant)) throw error;
      const now = await awards.award(account, orderNumber);
      if (!now || now.state === 'granted' || now.state === 'asking') throw error;
      logger.error(
        { orderNumber, is: now.state, said: end.state },
        'a downstream contradicts its own answer; the first one holds',
      );
      return false;
    }
  }

  /** What passes is tried again by itself, when it is due again; a broken invariant is not for this room to survive. */
  function onFault(error: unknown): void {
    if (!(error instanceof RetryableFault)) options.onFatal(error);
    else logger.warn({ reason: error.message }, 'handing out pieces waits for the ledger');
  }

  function openLane(name: string, downstream: Downstream): Lane {
    const claimMs = claimMsOf(downstream);
    const { connector, concurrencyMax, perSecondMax } = downstream;
    return createLane({
      connector,
      concurrencyMax,
      perSecondMax,
      clock,
      random: options.random,
      sweepMs,
      probeMsFirst: options.probeMsFirst ?? 1_000,
      due: async (limit) => {
        const scenes = scenesByConnector(options.campaigns()).get(name) ?? [];
        return scenes.length > 0 ? awards.dueAwards(clock.now(), limit, scenes) : [];
      },
      turn: async (award, question) => {
        const errand = errandOf(award, options.campaigns());
        if (!('unknown' in errand)) await handOut(award, errand, question, claimMs);
      },
      onFault,
      onBreaker: (state) => logger.warn({ connector: name, state }, 'a connector’s breaker'),
    });
  }

  /** A lane for each connector that campaigns name and operations have. */
  function openLanes(): void {
    for (const name of scenesByConnector(options.campaigns()).keys()) {
      const downstream = lanes.has(name) ? undefined : downstreamOf(name);
      if (!downstream) continue;
      const lane = openLane(name, downstream);
      lanes.set(name, { lane, downstream });
      lane.start();
    }
  }

  /**
   * Ends the lanes whose downstream was taken away or is another one by now. What was asked of the old one is heard to
   * its end first, so that no downstream bears the old lane's questions and the new one's; what was not asked yet is
   * let go, and taken up by the new lane.
   */
  async function closeLanes(): Promise<void> {
    const old = [...lanes].filter(([name, { downstream }]) => downstreamOf(name) !== downstream);
    await Promise.all(
      old.map(async ([name, { lane }]) => {
        await lane.stop();
        lanes.delete(name);
      }),
    );
  }

  /** Pieces that nobody can hand out, because of what we have configured: they wait, and say why. Never dead letters. */
  async function noteStrays(): Promise<void> {
    for (const award of await awards.dueAwards(clock.now(), STRAY_ROWS)) {
      const errand = errandOf(award, options.campaigns());
      const reason = 'unknown' in errand ? errand.unknown : missing(errand.connectorName);
      if (reason === undefined) continue;
      const { account, orderNumber } = award;
      logger.warn({ orderNumber, reason }, 'a piece waits for its configuration');
      const dueAtMs = later(strayLeftAloneMs);
      await awards.deferAward(account, orderNumber, { dueAtMs, reason, again: false });
    }
  }

  /** What waits for a time that a clock wrote which was ahead. */
  async function hurry(): Promise<void> {
    const claimsMs = [...lanes.values()].map(({ downstream }) => claimMsOf(downstream));
    const aheadMsMax = Math.max(retryMsMax, strayLeftAloneMs, ...claimsMs);
    const pieces = await hurryDueAhead({
      awards,
      clock,
      aheadMsMax,
      letGo,
      isStopped: () => pauses.stopped,
    });
    if (pieces > 0) logger.warn({ pieces }, 'pieces were due by a clock that was ahead; they are due now');
  }

  const missing = (name: string): string | undefined =>
    lanes.has(name) ? undefined : `no connector ${name} is configured`;

  async function run(): Promise<void> {
    let straysAtMs = Number.NEGATIVE_INFINITY;
    while (!pauses.stopped) {
      await closeLanes();
      openLanes();
      if (clock.monotonicMs() - straysAtMs >= strayMs) {
        straysAtMs = clock.monotonicMs();
        await noteStrays().catch(onFault);
        await hurry().catch(onFault);
      }
      await pauses.pause(sweepMs);
    }
  }

  return {
    start() {
      running = run();
    },
    async stop() {
      pauses.stop();
      await running;
      await Promise.all([...lanes.values()].map(({ lane }) => lane.stop()));
    },
    wake() {
      for (const { lane } of lanes.values()) lane.wake();
    },
    status: () => Object.fromEntries([...lanes].map(([name, { lane }]) => [name, lane.status()])),
  };
}
