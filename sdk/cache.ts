import { LRUCache } from 'lru-cache';

export interface Cache<Value extends object> {
  /** What is known and young enough; else what `look` says, asked once for all who ask meanwhile. Faults are not kept. */
  get(key: string, look: () => Promise<Value>): Promise<Value>;
  /** Forgets it; a look that is under way is not kept either, and nobody who comes now gets it. */
  drop(key: string): void;
}

/** `keepMs` says for how long an answer may be given again: 0 for not at all, Infinity for good. */
export function createCache<Value extends object>(options: {
  readonly entriesMax: number;
  readonly keepMs: (value: Value) => number;
  readonly monotonicMs: () => number;
}): Cache<Value> {
  const kept = new LRUCache<string, { readonly value: Value; readonly untilMs: number }>({
    maxSize: options.entriesMax,
    sizeCalculation: () => 1,
  });
  const looking = new Map<string, Promise<Value>>();

  function lookUp(key: string, look: () => Promise<Value>): Promise<Value> {
    // From before the look: an answer is as old as the moment at which it was asked for.
    const askedAtMs = options.monotonicMs();
    const looked: Promise<Value> = look().then(
      (value) => {
        if (looking.get(key) === looked) {
          looking.delete(key);
          const keepMs = options.keepMs(value);
          if (keepMs > 0) kept.set(key, { value, untilMs: askedAtMs + keepMs });
        }
        return value;
      },
      (error: unknown) => {
        if (looking.get(key) === looked) looking.delete(key);
        throw error;
      },
    );
    looking.set(key, looked);
    return looked;
  }

  return {
    get(key, look) {
      const known = kept.get(key);
      if (known && options.monotonicMs() < known.untilMs) return Promise.resolve(known.value);
      return looking.get(key) ?? lookUp(key, look);
    },
    drop(key) {
      kept.delete(key);
      looking.delete(key);
    },
  };
}
