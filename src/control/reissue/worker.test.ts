import { describe, expect, it } from 'vitest';
import { quiet } from '../../../test/support/postgres.ts';
import type { ReissueJob, ReissueLineDue, Reissues } from '../../engines/ports.ts';
import type { Pauses } from '../../guard/pauses.ts';
import { instantMs } from '../../vocabulary/instant.ts';
import { createReissueWorker } from './worker.ts';

const LOOK_EVERY_MS = 1_000_000;

/** A list in memory, and a clock that only pauses move: no time passes but what the worker waits. */
function runAtRate(lines: number, perSecondAt: (nowMs: number) => number) {
  let nowMs = 0;
  let stopped = false;
  const askedAtMs: number[] = [];
  let left = lines;
  let end = () => {};
  const done = new Promise<void>((resolve) => {
    end = resolve;
  });
  // Waiting for other lists takes no time of this one's.
  let endLook = () => {};
  const lookEnds = new Promise<void>((resolve) => {
    endLook = resolve;
  });
  const job = (): ReissueJob => ({
    id: 1,
    state: 'running',
    contentHash: '',
    lines,
    madeBy: 'ann',
    madeAtMs: instantMs(0),
    perSecond: perSecondAt(nowMs),
  });
  const hold = { jobId: 1, epoch: 1 };
  const reissues = {
    claim: async (...[, , , except]: Parameters<Reissues['claim']>) =>
      left > 0 && !except.includes(1) ? hold : undefined,
    renew: async () => job(),
    release: async () => {},
    take: async (_: unknown, limit: number) => {
      const taken = Math.min(limit, left);
      left -= taken;
      return Array.from({ length: taken }, (__, line) => ({ line }) as ReissueLineDue);
    },
    settle: async () => {},
    putBack: async () => {},
    finish: async () => {
      end();
      return true;
    },
  } as unknown as Reissues;
  const pauses: Pauses = {
    async pause(ms) {
      if (ms === LOOK_EVERY_MS) return lookEnds;
      nowMs += ms;
      await new Promise(setImmediate);
    },
    wake() {},
    stop() {
      stopped = true;
      endLook();
    },
    get stopped() {
      return stopped;
    },
  };
  const worker = createReissueWorker({
    reissues,
    worker: 'test',
    check: async () => {
      throw new Error('nothing is to be checked');
    },
    ask: async ({ line }) => {
      askedAtMs.push(nowMs);
      return { answer: 'settled', settled: { line, outcome: 'granted' } };
    },
    unclosedSlices: async () => [],
    clock: { now: () => instantMs(nowMs), monotonicMs: () => nowMs },
    logger: quiet,
    pauses,
    pollMs: LOOK_EVERY_MS,
    onFatal: (error) => {
      throw error;
    },
  });
  worker.start();
  return done.then(async () => {
    await worker.stop();
    return askedAtMs;
  });
}

const most = (askedAtMs: readonly number[], withinMs: number): number =>
  Math.max(...askedAtMs.map((from) => askedAtMs.filter((at) => at >= from && at < from + withinMs).length));

describe('the rate of a list', () => {
  it.each([1, 7, 100, 2_000])(
    '%i a second is kept, from the first second on, and used',
    async (perSecond) => {
      const lines = perSecond * 5;
      const askedAtMs = await runAtRate(lines, () => perSecond);
      expect(askedAtMs).toHaveLength(lines);
      // A bucket of one second at most, which starts empty.
      expect(most(askedAtMs, 1_000)).toBeLessThanOrEqual(perSecond + Math.ceil(perSecond / 10));
      expect(askedAtMs.at(-1)!).toBeGreaterThanOrEqual(4_900);
      expect(askedAtMs.at(-1)!).toBeLessThanOrEqual(6_000);
    },
  );

  it('changes while it runs, at once', async () => {
    const askedAtMs = await runAtRate(1_100, (nowMs) => (nowMs < 5_000 ? 20 : 1_000));
    const slow = askedAtMs.filter((at) => at < 5_000).length;
    expect(slow).toBeGreaterThanOrEqual(90);
    expect(slow).toBeLessThanOrEqual(110);
    expect(askedAtMs.at(-1)!).toBeLessThanOrEqual(6_500);
  });
});
