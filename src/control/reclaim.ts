import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Allotments, GrantLog, Ledger, LogSequence, Slice } from '../engines/ports.ts';
import type { SliceId } from '../vocabulary/ids.ts';
import type { Clock } from '../vocabulary/instant.ts';

export interface ReclaimerOptions {
  readonly allotments: Allotments;
  readonly log: GrantLog;
  readonly ledger: Ledger;
  readonly drainedTo: (sequence: LogSequence) => Promise<void>;
  /** From then on nothing is granted from the slice in this process. */
  readonly refuseSlice: (sliceId: SliceId) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly marginMs: number;
  readonly intervalMs: number;
}

export interface Reclaimer {
  start(): void;
  stop(): Promise<void>;
  /** Looks once at every slice that is not closed; resolves when those that could be closed are. */
  sweepOnce(): Promise<number>;
}

/**
 * Brings back what slices have not given (I4: never wasted). The order of the steps is what makes it exact: first no
 * grant of the slice is accepted any more, then a fence goes into the log behind those on their way, then everything
 * before the fence is credited, and only then is it counted. Each step may be repeated after a crash.
 */
export function createReclaimer(options: ReclaimerOptions): Reclaimer {
  const { allotments, log, ledger, clock, logger } = options;
  const stopping = new AbortController();
  const closing = new Set<SliceId>();
  let running: Promise<void> = Promise.resolve();

  async function reclaim(slice: Slice): Promise<void> {
    options.refuseSlice(slice.sliceId);
    await allotments.fence(slice);
    await options.drainedTo(await log.appendFence(slice));
    const given = await ledger.sliceTally(slice.phaseKey, slice.sliceId);
    await allotments.close(slice, given);
    logger.info(
      { sliceId: String(slice.sliceId), leased: slice.packets, given: given.packets },
      'a slice was closed; what it has not given is back in the budget',
    );
  }

  async function sweepOnce(): Promise<number> {
    const nowMs = clock.now();
    const due = (await allotments.unclosed()).filter(
      ({ slice, state }) =>
        !closing.has(slice.sliceId) && (state === 'fenced' || nowMs > slice.grantUntilMs + options.marginMs),
    );
    await Promise.all(
      due.map(async ({ slice }) => {
        closing.add(slice.sliceId);
        try {
          await reclaim(slice);
        } catch (error) {
          logger.warn(
            { sliceId: String(slice.sliceId), error: (error as Error).message },
            'a slice could not be closed yet',
          );
        } finally {
          closing.delete(slice.sliceId);
        }
      }),
    );
    return due.length;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      // A sweep may wait for a backlog; the next one starts in time all the same, and passes over what is closing.
      void sweepOnce().catch((error: Error) =>
        logger.warn({ error: error.message }, 'slices could not be looked at'),
      );
      await delay(options.intervalMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  return {
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      await running;
    },
    sweepOnce,
  };
}
