import { describe, expect, it } from 'vitest';
import { mayAsk, newAllowance, REQUESTS_AT_ONCE, REQUESTS_PER_SECOND } from './request-allowance.ts';

const passing = (allowance: ReturnType<typeof newAllowance>, tries: number, nowMs: number): number =>
  Array.from({ length: tries }, () => mayAsk(allowance, nowMs)).filter(Boolean).length;

describe('a person’s right to ask', () => {
  it('lets a burst through, then its rate', () => {
    const allowance = newAllowance(0);
    expect(passing(allowance, 1_000, 0)).toBe(REQUESTS_AT_ONCE);
    expect(passing(allowance, 1_000, 1_000)).toBe(REQUESTS_PER_SECOND);
  });
  it('never saves up more than one burst', () => {
    const allowance = newAllowance(0);
    expect(passing(allowance, 1_000, 86_400_000)).toBe(REQUESTS_AT_ONCE);
  });
  it('gains nothing from a clock that goes back', () => {
    const allowance = newAllowance(10_000);
    expect(passing(allowance, 1_000, 10_000)).toBe(REQUESTS_AT_ONCE);
    expect(passing(allowance, 1_000, 5_000)).toBe(0);
  });
  it('keeps to its rate however often somebody asks', () => {
    const allowance = newAllowance(0);
    let passed = 0;
    for (let nowMs = 0; nowMs < 60_000; nowMs += 7) if (mayAsk(allowance, nowMs)) passed += 1;
    expect(passed).toBeLessThanOrEqual(REQUESTS_AT_ONCE + 60 * REQUESTS_PER_SECOND);
    expect(passed).toBeGreaterThanOrEqual(REQUESTS_AT_ONCE + 59 * REQUESTS_PER_SECOND - 1);
  });
});
