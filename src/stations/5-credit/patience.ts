import type { Logger } from 'pino';
import { createPauses } from '../../guard/pauses.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { backOffMs } from '../../rules/back-off.ts';

/** Does things until they work. The one layer of crediting that retries without end. */
export interface Patience {
  /** A fault passes, however long it lasts. Undefined when stopping cut the waiting short; other errors are thrown. */
  until<Result>(act: () => Promise<Result>): Promise<{ readonly result: Result } | undefined>;
  /** What is waited for at the moment. */
  reason(): string | undefined;
  /** What is under way may finish its try; nothing waits any more. */
  stop(): void;
}

const PAUSE_MS_MAX = 5_000;

export function createPatience(options: { random: () => number; logger: Logger }): Patience {
  const pauses = createPauses();
  const waiting = new Set<{ reason: string }>();

  async function pauseAfter({ delayMs: firstMs, message: reason }: RetryableFault, failures: number) {
    const pauseMs = Math.ceil(backOffMs({ firstMs, maxMs: PAUSE_MS_MAX }, failures, options.random()));
    options.logger.warn({ pauseMs, failures: failures + 1, reason }, 'crediting waits');
    await pauses.pause(pauseMs);
  }

  return {
    async until(act) {
      const stall = { reason: '' };
      try {
        for (let failures = 0; ; failures += 1) {
          try {
            return { result: await act() };
          } catch (error) {
            if (!(error instanceof RetryableFault)) throw error;
            stall.reason = error.message;
            waiting.add(stall);
            if (pauses.stopped) return undefined;
            await pauseAfter(error, failures);
          }
        }
      } finally {
        waiting.delete(stall);
      }
    },
    reason: () => [...waiting][0]?.reason,
    stop: pauses.stop,
  };
}
