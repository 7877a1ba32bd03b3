/** Bounds what is under way, in calls and bytes, so that a server that says nothing can't fill our memory. */
export interface Gate {
  /** A place, and how to leave it (once; again changes nothing); undefined when it is full. */
  enter(bytes: number): (() => void) | undefined;
  load(): { readonly calls: number; readonly bytes: number };
}

export function createGate(callsMax: number, bytesMax: number): Gate {
  let calls = 0;
  let underWay = 0;
  return {
    enter(bytes) {
      // One call that is larger than everything may pass alone: better slow than never.
      if (calls >= callsMax || (calls > 0 && underWay + bytes > bytesMax)) return undefined;
      calls += 1;
      underWay += bytes;
      let isIn = true;
      return () => {
        if (!isIn) return;
        isIn = false;
        calls -= 1;
        underWay -= bytes;
      };
    },
    load: () => ({ calls, bytes: underWay }),
  };
}
