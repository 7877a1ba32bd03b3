import type { LogSequence } from '../../ports.ts';

/** Those who wait for the log to grow. */
export function createWaiters(end: () => LogSequence) {
  let waiting: (() => void)[] = [];

  return {
    wake(): void {
      const woken = waiting;
      waiting = [];
      for (const look of woken) look();
    },
    /** Resolves once `end()` is beyond `after`, or when the signal aborts. */
    beyond(after: LogSequence, signal: AbortSignal): Promise<void> {
      return new Promise((resolve) => {
        const done = () => {
          signal.removeEventListener('abort', done);
          waiting = waiting.filter((one) => one !== look);
          resolve();
        };
        const look = () => {
          if (signal.aborted || end() > after) done();
          else waiting.push(look);
        };
        signal.addEventListener('abort', done, { once: true });
        look();
      });
    },
  };
}
