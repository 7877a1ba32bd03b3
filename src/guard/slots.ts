/** At most so many acts at once; the others wait their turn, first come first served. */
export interface Slots {
  run<Result>(act: () => Promise<Result>): Promise<Result>;
}

export function createSlots(count: number): Slots {
  const waiting: (() => void)[] = [];
  let free = count;

  return {
    async run(act) {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await act();
      } finally {
        // The slot goes from hand to hand, so that nobody who comes later gets in between.
        const next = waiting.shift();
        if (next) next();
        else free += 1;
      }
    },
  };
}
