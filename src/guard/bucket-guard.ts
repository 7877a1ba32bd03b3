import { type Breaker, createBreaker } from './breaker.ts';
import { createWord, type WordOptions } from './word.ts';

export interface BreakerSettings {
  readonly faultsToOpen?: number;
  readonly probeMsFirst?: number;
  readonly probeMsMax?: number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/** The breaker of one bucket, and whether there is something to tell the bucket when it is back. */
export interface BucketGuard {
  readonly breaker: Breaker;
  /** Whether the bucket may be asked. */
  lets(): boolean;
  /** Something was kept from the bucket. Resolves when it knows so by another process, or nobody can tell it now. */
  missed(): Promise<void>;
  isUntold(): boolean;
  /** While the book is switched off, it is not told either. */
  rest(): void;
  /** It is asked again once it knows that it was off; without a `rest` before, nothing changes. */
  goOn(): void;
  stop(): void;
}

export interface BucketGuardOptions extends BreakerSettings {
  /** Whether the bucket answers, when there is nothing to tell. */
  readonly look: () => Promise<unknown>;
  /** Tells the bucket that it missed something. */
  readonly tell: () => Promise<void>;
  /** How others tell it, when this process can't; none where there are no others. */
  readonly others?: WordOptions | undefined;
  readonly onAway: () => void;
  readonly onBack: () => void;
}

export function createBucketGuard(options: BucketGuardOptions): BucketGuard {
  const { faultsToOpen = 5, probeMsFirst = 200, probeMsMax = 5_000, random } = options;
  let isUntold = false;
  let isResting = false;
  /** It was switched off, and may not know so yet. */
  let isReturning = false;
  let telling: NodeJS.Timeout | undefined;
  let isStopped = false;
  const word = options.others && createWord(options.others);

  let wasAway = false;

  const breaker = createBreaker({
    faultsToOpen,
    probeMsFirst,
    probeMsMax,
    random,
    // To tell is to write, so it shows more than a look.
    probe: () => (isUntold && !isResting ? tell() : options.look()),
    onChange(state) {
      if (state === 'open' && !wasAway) options.onAway();
      if (state === 'closed') options.onBack();
      wasAway = state !== 'closed';
    },
  });

  /** What is missed while it is being told is told again. */
  async function tell(): Promise<void> {
    isUntold = false;
    try {
      await options.tell();
      isReturning = false;
    } catch (error) {
      isUntold = true;
      throw error;
    }
  }

  /** With the breaker open, its probe tells; with it closed, nobody else would. */
  function tellSoon(): void {
    if (telling || isStopped || isResting) return;
    telling = setTimeout(async () => {
      telling = undefined;
      if (isUntold && breaker.lets) await tell().catch(() => breaker.failed());
      if (isUntold) tellSoon();
    }, probeMsFirst);
    telling.unref();
  }

  return {
    breaker,
    lets: () => !isResting && !isReturning && breaker.lets,
    isUntold: () => isUntold,
    async missed() {
      isUntold = true;
      tellSoon();
      if (!isResting) await word?.passed();
    },
    rest() {
      isResting = true;
      clearTimeout(telling);
      telling = undefined;
    },
    goOn() {
      if (!isResting) return;
      isResting = false;
      // Whoever kept something from it may have been started again since, and others may still be at it: so everybody
      // tells, before he believes a word of it.
      isReturning = true;
      isUntold = true;
      tellSoon();
    },
    stop() {
      isStopped = true;
      clearTimeout(telling);
      breaker.stop();
    },
  };
}
