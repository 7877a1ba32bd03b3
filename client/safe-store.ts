/** Where a phone keeps things; localStorage has this shape. */
export interface KeyValueStore {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export const memoryStore = (): KeyValueStore => {
  const items = new Map<string, string>();
  return {
    get length() {
      return items.size;
    },
    key: (index) => [...items.keys()][index] ?? null,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
};

/** A store that never throws. */
export interface SafeStore {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  remove(key: string): void;
  /** Every key that begins so. */
  keys(prefix: string): string[];
}

/**
 * Storage may be full, forbidden, or wiped while we run. What it does not take is kept in memory for as long as the
 * page lives, and offered to it again when something else has gone; what it does not give counts as not there.
 */
export function safeStore(store: KeyValueStore): SafeStore {
  const refused = new Map<string, string>();

  const attempt = <Value>(act: () => Value): Value | undefined => {
    try {
      return act();
    } catch {
      return undefined;
    }
  };
  const write = (key: string, value: string): void => {
    const taken = attempt(() => {
      store.setItem(key, value);
      return true;
    });
    if (taken) refused.delete(key);
    else refused.set(key, value);
  };

  return {
    get: (key) => refused.get(key) ?? attempt(() => store.getItem(key)) ?? undefined,
    set: write,
    remove(key) {
      refused.delete(key);
      attempt(() => store.removeItem(key));
      for (const [waiting, value] of [...refused]) write(waiting, value);
    },
    keys(prefix) {
      const stored = attempt(() =>
        Array.from({ length: store.length }, (_, index) => attempt(() => store.key(index))),
      );
      const all = new Set([...(stored ?? []), ...refused.keys()]);
      return [...all].filter((key): key is string => typeof key === 'string' && key.startsWith(prefix));
    },
  };
}
