export interface WordOptions {
  /** Has another process tell the bucket. Rejects, within a second or so, when nobody can be found who does. */
  readonly pass: () => Promise<void>;
  readonly monotonicMs: () => number;
}

/** Word to a bucket that something is being kept from it, from a process that can't reach it itself. */
export interface Word {
  /** Resolves when the bucket knows, or when nobody can tell it: then whoever needs it can't reach it either. */
  passed(): Promise<void>;
}

/** A good deal less than the bookkeeper waits before it fills a torn bucket (BOOK_CALM_MS): what is missed meanwhile is seen. */
const HOLDS_MS = 3_000;
/** While nobody can pass it on, nobody waits for it; this often it is tried. */
const AGAIN_MS = 1_000;

export function createWord({ pass, monotonicMs }: WordOptions): Word {
  let passedAtMs = Number.NEGATIVE_INFINITY;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let isHeard = true;
  let passing: Promise<void> | undefined;

  async function passOn(): Promise<void> {
    triedAtMs = monotonicMs();
    const askedAtMs = triedAtMs;
    try {
      await pass();
      passedAtMs = askedAtMs;
      isHeard = true;
    } catch {
      isHeard = false;
    } finally {
      passing = undefined;
    }
  }

  return {
    async passed() {
      const nowMs = monotonicMs();
      if (nowMs - passedAtMs < HOLDS_MS) return;
      if (!isHeard && nowMs - triedAtMs < AGAIN_MS) return;
      const waits = isHeard;
      passing ??= passOn();
      if (waits) await passing;
    },
  };
}
