/** The waits of a background loop: each ends in time, at the next `wake`, or for good at `stop`. */
export interface Pauses {
  /** Resolves after `ms`, or earlier when woken; at once when stopped. */
  pause(ms: number): Promise<void>;
  /** Ends every pause that is under way. */
  wake(): void;
  /** Ends every pause, those to come too. */
  stop(): void;
  readonly stopped: boolean;
}

/** Node's timers take no more than this; a longer pause ends early, which a loop survives. */
const PAUSE_MS_MAX = 2 ** 31 - 1;

/**
 * Made of plain timers: a loop that pauses a thousand times a second on `AbortSignal.any` leaves a listener on its
 * long-lived signal each time (Node 20).
 */
export function createPauses(): Pauses {
  const pausing = new Map<NodeJS.Timeout, () => void>();
  let stopped = false;

  const wake = (): void => {
    for (const [timer, end] of pausing) {
      clearTimeout(timer);
      end();
    }
    pausing.clear();
  };

  return {
    pause(ms) {
      if (stopped) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(
          () => {
            pausing.delete(timer);
            resolve();
          },
          Math.min(ms, PAUSE_MS_MAX),
        );
        pausing.set(timer, resolve);
      });
    },
    wake,
    stop() {
      stopped = true;
      wake();
    },
    get stopped() {
      return stopped;
    },
  };
}
