import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';

const WAIT_MS = 300;
const SAY_EVERY = 20;

/** Processes and servers start in any order: what is not there yet is waited for, and said now and then. */
export async function untilItIs<Result>(
  what: string,
  logger: Logger,
  act: () => Promise<Result>,
  mayComeYet: (error: unknown) => boolean,
): Promise<Result> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await act();
    } catch (error) {
      if (!mayComeYet(error)) throw error;
      if (tries % SAY_EVERY === 0)
        logger.warn({ reason: (error as Error).message }, `${what} can't be reached yet; waiting`);
      await delay(WAIT_MS);
    }
  }
}
