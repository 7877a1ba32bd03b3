import type { Logger } from 'pino';
import type {
  ReissueChecked,
  ReissueHold,
  ReissueJob,
  ReissueLineDue,
  ReissueLineUnchecked,
  ReissueSettled,
  Reissues,
} from '../../engines/ports.ts';
import { createPauses, type Pauses } from '../../guard/pauses.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { newRate, type RateState, takeUpTo, waitMs } from '../../rules/rate-limit.ts';
import { type Clock, instantMs } from '../../vocabulary/instant.ts';
import type { ReissueAnswer } from './ask.ts';
import { createExhausted, type Exhausted, type UnclosedSlice } from './exhausted.ts';

export interface ReissueWorkerOptions {
  readonly reissues: Reissues;
  /** Names this process's place: the same after a restart, and nobody else's. */
  readonly worker: string;
  readonly check: (lines: readonly ReissueLineUnchecked[]) => Promise<readonly ReissueChecked[]>;
  readonly ask: (line: ReissueLineDue) => Promise<ReissueAnswer>;
  readonly unclosedSlices: () => Promise<readonly UnclosedSlice[]>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each line that is settled. */
  readonly onSettled?: (outcome: string) => void;
  /** Something that is no passing fault: the caller ends the process. */
  readonly onFatal: (error: unknown) => void;
  /** How long a job stays this worker's when nothing more is heard of it. */
  readonly leaseMs?: number;
  readonly pollMs?: number;
  readonly pauses?: Pauses;
}

export interface ReissueWorker {
  start(): void;
  /** Looks for work now. */
  wake(): void;
  /** Begins nothing new, waits for what was asked for, and gives its jobs up for others. */
  stop(): Promise<void>;
}

const LEASE_MS = 15_000;
const POLL_MS = 1_000;
const JOBS_MAX = 4;
/** Lines asked for at once: micro-batches gather of them, and a crash leaves at most so many to be asked again. */
const BATCH_LINES = 500;
const CHECK_LINES = 1_000;
const NOTHING_LEFT = 'budget-exhausted: nothing was left that could pay this';

/**
 * Works on lists. A job is one worker's at a time (a lease with an epoch); all that it knows lies in the database, so
 * that whoever comes after a crash goes on from the same line.
 */
export function createReissueWorker(options: ReissueWorkerOptions): ReissueWorker {
  const { reissues, clock, logger } = options;
  const pauses = options.pauses ?? createPauses();
  const leaseMs = options.leaseMs ?? LEASE_MS;
  const pollMs = options.pollMs ?? POLL_MS;
  const working = new Map<number, Promise<void>>();
  let running: Promise<void> = Promise.resolve();
  const leaseEndMs = () => instantMs(clock.now() + leaseMs);

  async function look(): Promise<void> {
    while (!pauses.stopped) {
      const hold = await unlessFault(claim);
      if (hold) {
        const job = work(hold)
          .catch(options.onFatal)
          .finally(() => working.delete(hold.jobId));
        working.set(hold.jobId, job);
      } else {
        await pauses.pause(pollMs);
      }
    }
    await Promise.all(working.values());
  }

  async function claim(): Promise<ReissueHold | undefined> {
    if (working.size >= JOBS_MAX) return undefined;
    return reissues.claim(options.worker, clock.now(), leaseEndMs(), [...working.keys()]);
  }

  /** A job until nothing is left to do on it, it is another's, or this worker stops. */
  async function work(hold: ReissueHold): Promise<void> {
    const run: Run = {
      hold,
      rate: newRate(1, clock.monotonicMs()),
      exhausted: createExhausted(options.unclosedSlices),
    };
    while (!pauses.stopped) {
      const goesOn = await unlessFault(() => step(run));
      if (goesOn === false) break;
    }
    await unlessFault(() => reissues.release(hold));
  }

  async function step(run: Run): Promise<boolean> {
    const job = await reissues.renew(run.hold, leaseEndMs());
    if (!job) return false;
    return job.state === 'checking' ? checkSome(run.hold) : askSome(run, job);
  }

  async function checkSome(hold: ReissueHold): Promise<boolean> {
    const lines = await reissues.unchecked(hold, CHECK_LINES);
    if (lines.length > 0) return reissues.noteChecked(hold, await options.check(lines));
    await reissues.finishCheck(hold, clock.now());
    return false;
  }

  async function askSome(run: Run, job: ReissueJob): Promise<boolean> {
    run.rate.perSecond = job.perSecond;
    const allowed = takeUpTo(run.rate, BATCH_LINES, clock.monotonicMs());
    if (allowed === 0) {
      await pauses.pause(Math.min(pollMs, waitMs(run.rate, BATCH_LINES) ?? pollMs));
      return true;
    }
    const lines = await reissues.take(run.hold, allowed, run.exhausted.parked());
    run.rate.allowance += allowed - lines.length;
    if (lines.length > 0) {
      await ask(run, lines);
      return true;
    }
    if (job.state !== 'running' || (await reissues.finish(run.hold, clock.now()))) return false;
    // All that is left waits until it is known what its budget really has.
    if (!(await run.exhausted.look())) await pauses.pause(pollMs);
    return true;
  }

  async function ask(run: Run, lines: readonly ReissueLineDue[]): Promise<void> {
    const answers = await Promise.all(lines.map(async (line) => ({ line, answer: await options.ask(line) })));
    const settled = answers.flatMap(({ answer }) => (answer.answer === 'settled' ? [answer.settled] : []));
    await settle(run, settled);
    const exhausted = answers.filter(({ answer }) => answer.answer === 'exhausted').map(({ line }) => line);
    const moved = answers.filter(
      ({ answer }) =>
        answer.answer === 'unknown' || (answer.answer === 'settled' && answer.settled.outcome === 'granted'),
    );
    const { final, again } = await run.exhausted.note(
      exhausted,
      moved.map(({ line }) => line),
    );
    await settle(
      run,
      final.map(({ line }) => ({ line, outcome: 'refused', reason: NOTHING_LEFT })),
    );
    await reissues.putBack(
      run.hold,
      again.map(({ line }) => line),
    );
    const unknown = answers.flatMap(({ answer }) => (answer.answer === 'unknown' ? [answer] : []));
    if (unknown.length === 0) return;
    const { detail } = unknown[0]!;
    logger.warn({ job: run.hold.jobId, lines: unknown.length, reason: detail }, 'lines are asked for again');
    await pauses.pause(Math.max(...unknown.map(({ delayMs }) => delayMs)));
  }

  async function settle(run: Run, settled: readonly ReissueSettled[]): Promise<void> {
    await reissues.settle(run.hold, settled, clock.now());
    for (const { outcome } of settled) options.onSettled?.(outcome);
  }

  /** Faults pass: undefined then, after a pause. Anything else is not survived. */
  async function unlessFault<Result>(act: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof RetryableFault)) throw error;
      logger.warn({ reason: error.message }, 'reissue waits');
      await pauses.pause(Math.max(error.delayMs, pollMs));
      return undefined;
    }
  }

  return {
    start() {
      running = look().catch(options.onFatal);
    },
    wake: pauses.wake,
    async stop() {
      pauses.stop();
      await running;
    },
  };
}

interface Run {
  readonly hold: ReissueHold;
  readonly rate: RateState;
  readonly exhausted: Exhausted;
}
