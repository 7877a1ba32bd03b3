/** Runs the acts of one key one after another, and those of different keys side by side. Holds only waiting keys. */
export interface Turns<Key> {
  take<Result>(key: Key, act: () => Promise<Result>): Promise<Result>;
}

export function createTurns<Key>(): Turns<Key> {
  const last = new Map<Key, Promise<unknown>>();
  return {
    take(key, act) {
      const before = last.get(key);
      const mine = before ? before.then(act, act) : act();
      last.set(key, mine);
      const leave = () => {
        if (last.get(key) === mine) last.delete(key);
      };
      mine.then(leave, leave);
      return mine;
    },
  };
}
