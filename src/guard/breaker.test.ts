import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type BreakerState, createBreaker } from './breaker.ts';

describe('a breaker', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function make() {
    const states: BreakerState[] = [];
    const other = { isWell: false, probes: 0 };
    const breaker = createBreaker({
      faultsToOpen: 3,
      probeMsFirst: 100,
      probeMsMax: 400,
      random: () => 1,
      onChange: (state) => states.push(state),
      async probe() {
        other.probes += 1;
        if (!other.isWell) throw new Error('still away');
      },
    });
    return { breaker, states, other };
  }
  const fail = (breaker: { failed(): void }, times: number) => {
    for (let time = 0; time < times; time += 1) breaker.failed();
  };

  it('opens after so many faults one after the other, and not before', () => {
    const { breaker } = make();
    fail(breaker, 2);
    breaker.succeeded();
    fail(breaker, 2);
    expect(breaker.lets).toBe(true);
    fail(breaker, 1);
    expect([breaker.lets, breaker.state]).toEqual([false, 'open']);
  });

  it('probes by itself, ever more rarely, and lets people through only when the probe went well', async () => {
    const { breaker, states, other } = make();
    fail(breaker, 3);
    const probesAfterMs = async (ms: number) => {
      await vi.advanceTimersByTimeAsync(ms);
      return other.probes;
    };
    expect(await probesAfterMs(99)).toBe(0);
    expect(await probesAfterMs(1)).toBe(1);
    expect(await probesAfterMs(200)).toBe(2);
    expect(await probesAfterMs(400)).toBe(3);
    expect(await probesAfterMs(400)).toBe(4);
    expect(breaker.lets).toBe(false);
    other.isWell = true;
    expect(await probesAfterMs(400)).toBe(5);
    expect([breaker.lets, states.slice(-3)]).toEqual([true, ['open', 'half-open', 'closed']]);
    fail(breaker, 2);
    expect(breaker.lets).toBe(true);
  });

  it('is not closed by an answer to a question from before it opened', () => {
    const { breaker } = make();
    fail(breaker, 3);
    breaker.succeeded();
    expect(breaker.lets).toBe(false);
  });

  it('does not probe once it is stopped', async () => {
    const { breaker, other } = make();
    fail(breaker, 3);
    breaker.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(other.probes).toBe(0);
  });
});
