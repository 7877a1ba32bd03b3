/** Runs the acts of one key one after another, and those of different keys side by side. Holds only waiting keys. */
export interface Turns<Key> {
  take<Result>(key: Key, act: () => Promise<Result>): Promise<Result>;
  /** The turns of all these keys at once. Waited for in their own order, so that nobody waits in a circle. */
  takeAll<Result>(keys: readonly Key[], act: () => Promise<Result>): Promise<Result>;
}

export function createTurns<Key extends string | bigint>(): Turns<Key> {
  const last = new Map<Key, Promise<unknown>>();
  function take<Result>(key: Key, act: () => Promise<Result>): Promise<Result> {
    const before = last.get(key);
    const mine = before ? before.then(act, act) : act();
    last.set(key, mine);
    const leave = () => {
      if (last.get(key) === mine) last.delete(key);
    };
    mine.then(leave, leave);
    return mine;
  }

  return {
    take,
    takeAll(keys, act) {
      const inOrder = [...keys].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
      return inOrder.reduceRight((inner, key) => () => take(key, inner), act)();
    },
  };
}
