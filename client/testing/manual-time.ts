import type { Timers } from '../timers.ts';

/** A clock that moves only when it is told to; what is due then happens in order, each with all that follows of it. */
export interface ManualTime {
  readonly timers: Timers;
  nowMs(): number;
  advance(ms: number): Promise<void>;
  /** In how many ms each pending timer is due, soonest first. */
  pendingMs(): number[];
}

/** Lets everything that was promised and needs no time come about. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function createManualTime(startMs = 1_700_000_000_000): ManualTime {
  let nowMs = startMs;
  const pending = new Set<{ atMs: number; act: () => void }>();
  const soonest = () => [...pending].sort((one, other) => one.atMs - other.atMs);
  return {
    timers: {
      after(ms, act) {
        const timer = { atMs: nowMs + ms, act };
        pending.add(timer);
        return () => void pending.delete(timer);
      },
    },
    nowMs: () => nowMs,
    pendingMs: () => soonest().map(({ atMs }) => atMs - nowMs),
    async advance(ms) {
      const endMs = nowMs + ms;
      await settle();
      for (let next = soonest()[0]; next && next.atMs <= endMs; next = soonest()[0]) {
        nowMs = next.atMs;
        pending.delete(next);
        next.act();
        await settle();
      }
      nowMs = endMs;
    },
  };
}
