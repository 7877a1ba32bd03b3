import type { LogSequence } from '../../engines/ports.ts';

/** Those who wait until crediting has come to a certain record. */
export interface DrainedWaiters {
  until(sequence: LogSequence): Promise<void>;
  /** Wakes everybody who waits for this record or an earlier one. */
  reached(sequence: LogSequence): void;
  /** Nothing will be reached any more: everybody who waits is told why, and whoever comes later. */
  giveUp(reason: Error): void;
}

export function createDrainedWaiters(drained: () => LogSequence): DrainedWaiters {
  interface Waiter {
    readonly sequence: LogSequence;
    readonly resolve: () => void;
    readonly reject: (reason: Error) => void;
  }
  let waiters: Waiter[] = [];
  let givenUp: Error | undefined;

  return {
    until(sequence) {
      if (sequence <= drained()) return Promise.resolve();
      if (givenUp) return Promise.reject(givenUp);
      return new Promise((resolve, reject) => {
        waiters.push({ sequence, resolve, reject });
      });
    },
    reached(sequence) {
      if (waiters.length === 0) return;
      for (const waiter of waiters) if (waiter.sequence <= sequence) waiter.resolve();
      waiters = waiters.filter((waiter) => waiter.sequence > sequence);
    },
    giveUp(reason) {
      givenUp = reason;
      for (const waiter of waiters) waiter.reject(reason);
      waiters = [];
    },
  };
}
