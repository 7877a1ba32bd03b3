import type { Member } from './assignment.ts';

interface Seen {
  readonly beat: number;
  readonly sinceMs: number;
}

/**
 * Who of the others is dead: whose beat has stood still for a whole lease by the onlooker's own monotonic clock. A
 * member that has just been seen for the first time has its whole time before it.
 */
export function createVigil(ttlMs: number) {
  let seen = new Map<string, Seen>();

  return {
    look(members: Readonly<Record<string, Member>>, me: string, nowMs: number): Set<string> {
      const next = new Map<string, Seen>();
      const dead = new Set<string>();
      for (const [id, { beat }] of Object.entries(members)) {
        const before = seen.get(id);
        const still = before?.beat === beat ? before : { beat, sinceMs: nowMs };
        next.set(id, still);
        if (id !== me && nowMs - still.sinceMs >= ttlMs) dead.add(id);
      }
      seen = next;
      return dead;
    },
  };
}
