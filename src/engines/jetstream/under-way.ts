/** What has been begun and has not ended; how it ends is its caller's. */
export interface UnderWay {
  track<Result>(work: Promise<Result>): Promise<Result>;
  /** Resolves once everything has ended that is under way now. */
  ended(): Promise<unknown>;
  /** Resolves once nothing is under way: also what was begun during the wait. */
  drained(): Promise<void>;
}

export function createUnderWay(): UnderWay {
  const underWay = new Set<Promise<void>>();
  return {
    track(work) {
      const ended = work.then(
        () => {},
        () => {},
      );
      underWay.add(ended);
      void ended.then(() => underWay.delete(ended));
      return work;
    },
    ended: () => Promise.all(underWay),
    async drained() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}
