import { setMaxListeners } from 'node:events';
import type { Logger } from 'pino';
import type { Allotments, GrantLog, Ledger, LogSequence, Slice, UnclosedSlice } from '../engines/ports.ts';
import { createPauses } from '../guard/pauses.ts';
import { RetryableFault } from '../protocol/failures.ts';
import type { SliceId } from '../vocabulary/ids.ts';
import type { Clock } from '../vocabulary/instant.ts';

export interface ReclaimerOptions {
  readonly allotments: Allotments;
  /** All buckets' logs: a slice's packets go to anybody. */
  readonly logs: readonly Pick<GrantLog, 'appendFence' | 'at' | 'untilDrained'>[];
  readonly ledger: Ledger;
  /**
   * From then on nothing is granted from the slice in this process. What it gives back is awaited: a promise that
   * resolves once the grants that were accepted before have been handed to the log keeps them before the fence.
   */
  readonly refuseSlice: (sliceId: SliceId) => unknown;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly marginMs: number;
  /**
   * Where other processes grant: how long one of them may go on with a slice that is fenced in the database, its last
   * append included. Nothing hangs on their clocks then.
   */
  readonly settleMs?: number;
  readonly intervalMs: number;
  /** Something that is no passing fault, a broken budget above all. Without it the error ends the process. */
  readonly onFatal?: (error: unknown) => void;
}

export interface Reclaimer {
  start(): void;
  /** Leaves what waits for crediting to the next start. */
  stop(): Promise<void>;
  /** Looks once at every slice that is not closed; resolves with the number that was closed. */
  sweepOnce(): Promise<number>;
}

/**
 * Brings back what slices have not given (I4: never wasted). The order of the steps is what makes it exact: first no
 * grant of the slice is accepted any more, then a fence goes into the log behind those on their way, then everything
 * before the fence is credited, and only then is it counted. Each step may be repeated after a crash; a fence that
 * stands in a bucket's log is waited for instead of being written again.
 */
export function createReclaimer(options: ReclaimerOptions): Reclaimer {
  const { allotments, logs, ledger, clock, logger } = options;
  const pauses = createPauses();
  const closing = new Map<SliceId, Promise<boolean>>();
  /** Those who wait for crediting; stopping sends them home. */
  const leaving = new AbortController();
  // As many as there are slices being closed, times buckets: no leak.
  setMaxListeners(0, leaving.signal);
  let running: Promise<void> = Promise.resolve();

  async function reclaim(unclosed: UnclosedSlice): Promise<void> {
    const { slice, fencedAt } = unclosed;
    await options.refuseSlice(slice.sliceId);
    const standing = await Promise.all(
      logs.map((log, bucket) => whereItStands(log, slice, fencedAt[bucket])),
    );
    const fences = isWhole(standing) ? standing : await fence(unclosed, standing);
    await Promise.all(logs.map((log, bucket) => log.untilDrained(fences[bucket]!, leaving.signal)));
    // From here on the ledger takes nothing more of it, by whatever way: all that counts is in.
    await ledger.fence(slice);
    // A log that is lost is made anew behind the fences that the ledger has by then: was this one in time for that?
    await Promise.all(logs.map((log, bucket) => mustStand(log, slice, fences[bucket]!)));
    const given = await ledger.sliceTally(slice.phaseKey, slice.sliceId);
    await allotments.close(slice, given);
    logger.info(
      { sliceId: String(slice.sliceId), leased: slice.packets, given: given.packets },
      'a slice was closed; what it has not given is back in the budget',
    );
  }

  /** A fence into every bucket that has none yet. What could be done is kept, even when one bucket takes none now. */
  async function fence(
    { slice, state }: UnclosedSlice,
    standing: readonly Place[],
  ): Promise<readonly LogSequence[]> {
    if (state === 'open') await allotments.fence(slice);
    // Whoever had asked before the fence stood in the database has its answer from the log by then.
    if (options.settleMs !== undefined) await pauses.pause(options.settleMs);
    if (pauses.stopped) throw new RetryableFault('control-unavailable', 'it was told to stop', 0);
    const appended = await Promise.allSettled(
      logs.map((log, bucket) => standing[bucket] ?? log.appendFence(slice)),
    );
    await allotments.noteFences(
      slice,
      appended.map((one) => (one.status === 'fulfilled' ? one.value : undefined)),
    );
    return appended.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  }

  /** One slice that can't be closed now stops no other. */
  async function tryToReclaim(unclosed: UnclosedSlice): Promise<boolean> {
    const { slice } = unclosed;
    try {
      await reclaim(unclosed);
      return true;
    } catch (error) {
      if (!(error instanceof RetryableFault)) throw error;
      if (pauses.stopped) return false;
      logger.warn(
        { sliceId: String(slice.sliceId), reason: error.message },
        'a slice could not be closed yet',
      );
      return false;
    } finally {
      closing.delete(slice.sliceId);
    }
  }

  /**
   * Begins to close what is due. What was being closed when the look began is passed over: by the time its answer is
   * here, "fenced" may be long past, and a closed slice would be fenced again.
   */
  async function look(): Promise<Promise<boolean>[]> {
    const underWay = new Set(closing.keys());
    const unclosed = await allotments.unclosed();
    const overAtMs = clock.now() - options.marginMs;
    const due = unclosed.filter(
      ({ slice, state }) =>
        !underWay.has(slice.sliceId) &&
        !closing.has(slice.sliceId) &&
        (state === 'fenced' || slice.grantUntilMs < overAtMs),
    );
    return due.map((one) => {
      const attempt = tryToReclaim(one);
      closing.set(one.slice.sliceId, attempt);
      return attempt;
    });
  }

  async function run(): Promise<void> {
    const waiting = new Set<Promise<void>>();
    while (!pauses.stopped) {
      try {
        // One look at a time; what it began may wait for a backlog, and the next look comes in time all the same.
        const attempts: Promise<void> = allOf(await look())
          .then(() => {}, onFailed)
          .finally(() => waiting.delete(attempts));
        waiting.add(attempts);
      } catch (error) {
        onFailed(error);
      }
      await pauses.pause(options.intervalMs);
    }
    await Promise.all(waiting);
  }

  function onFailed(error: unknown): void {
    if (error instanceof RetryableFault) {
      logger.warn({ reason: error.message }, 'slices could not be looked at');
      return;
    }
    if (!options.onFatal) throw error;
    options.onFatal(error);
  }

  return {
    start() {
      running = run();
    },
    async stop() {
      pauses.stop();
      leaving.abort();
      await running;
      await Promise.allSettled(closing.values());
    },
    sweepOnce: async () => (await allOf(await look())).filter(Boolean).length,
  };
}

/** Of a fence in one bucket's log; undefined: not known to stand. */
type Place = LogSequence | undefined;

const isWhole = (places: readonly Place[]): places is readonly LogSequence[] =>
  places.every((place) => place !== undefined);

/**
 * The place, if this slice's fence is what the log has there: servers that lost their last records may have filled it
 * with something else.
 */
async function whereItStands(log: Pick<GrantLog, 'at'>, slice: Slice, place: Place): Promise<Place> {
  if (place === undefined) return undefined;
  try {
    const record = await log.at(place);
    const isIt = record.kind === 'fence' && record.sliceId === slice.sliceId && record.epoch === slice.epoch;
    return isIt ? place : undefined;
  } catch (error) {
    if (error instanceof RetryableFault) throw error;
    return undefined; // The log has no such record any more.
  }
}

/** Otherwise what it made void may count in the log that was made anew: the slice is fenced there, and counted again. */
async function mustStand(log: Pick<GrantLog, 'at'>, slice: Slice, place: LogSequence): Promise<void> {
  if ((await whereItStands(log, slice, place)) !== place)
    throw new RetryableFault('log-unavailable', `the log has lost the fence at ${place}`, 1_000);
}

/** As Promise.all, but only once every one of them has ended: nothing goes on behind the caller's back. */
async function allOf<Result>(promises: readonly Promise<Result>[]): Promise<Result[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
