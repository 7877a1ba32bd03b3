import { backOffMs } from '../rules/back-off.ts';

export type BreakerState = 'closed' | 'open' | 'half-open';

export interface BreakerOptions {
  /** Faults one after the other, with no success between, that open it. */
  readonly faultsToOpen: number;
  /** Before the first probe, in ms; doubled after each that fails, up to the most. Half of it is jitter. */
  readonly probeMsFirst: number;
  readonly probeMsMax: number;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** One try on nobody's behalf; resolves when the other side is well. */
  readonly probe: () => Promise<unknown>;
  readonly onChange?: (state: BreakerState) => void;
}

export interface Breaker {
  /** False while it is open, and while it is tried out. */
  readonly lets: boolean;
  readonly state: BreakerState;
  succeeded(): void;
  failed(): void;
  /** Ends the probes; the state stays as it is. */
  stop(): void;
}

/**
 * Keeps people from waiting for what does not answer. It is tried out by a probe of its own and not by the next person,
 * so nobody pays for finding out, and its return is noticed when nobody asks.
 */
export function createBreaker(options: BreakerOptions): Breaker {
  const { faultsToOpen, probeMsFirst, probeMsMax, random } = options;
  let state: BreakerState = 'closed';
  let faults = 0;
  let probes = 0;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  function become(next: BreakerState): void {
    state = next;
    options.onChange?.(next);
  }

  function probeLater(): void {
    if (isStopped) return;
    const waitMs = backOffMs({ firstMs: probeMsFirst, maxMs: probeMsMax }, probes, random());
    probes += 1;
    timer = setTimeout(() => void probe(), waitMs);
    timer.unref();
  }

  async function probe(): Promise<void> {
    become('half-open');
    try {
      await options.probe();
    } catch {
      become('open');
      probeLater();
      return;
    }
    faults = 0;
    probes = 0;
    become('closed');
  }

  return {
    get lets() {
      return state === 'closed';
    },
    get state() {
      return state;
    },
    // What was under way when it opened says nothing about now.
    succeeded() {
      if (state === 'closed') faults = 0;
    },
    failed() {
      if (state !== 'closed') return;
      faults += 1;
      if (faults < faultsToOpen) return;
      become('open');
      probeLater();
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
