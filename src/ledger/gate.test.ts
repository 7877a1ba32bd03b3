import { describe, expect, it } from 'vitest';
import { RetryableFault } from '../protocol/failures.ts';
import { createGate } from './gate.ts';

const gone = () => Promise.reject(new RetryableFault('ledger-unavailable', 'no answer', 10));

function aGate(callsMax = 3) {
  const time = { ms: 0 };
  const gate = createGate('b', {
    callsMax,
    quietMs: 300,
    shutMs: 1_000,
    monotonicMs: () => time.ms,
    isAway: (error) => error instanceof RetryableFault,
  });
  const fail = async (ms: number) => {
    time.ms = ms;
    await expect(gate.run(gone)).rejects.toThrow('no answer');
  };
  return { gate, time, fail };
}

describe('the gate before a shard', () => {
  it('shuts when there were only faults for a while, and then refuses without asking', async () => {
    const { gate, time, fail } = aGate();
    await fail(0);
    await fail(299);
    expect(gate.reason()).toBeUndefined();
    await fail(300);
    expect(gate.reason()).toBe('no answer');
    let asked = 0;
    time.ms = 700;
    const refused = gate.run(async () => {
      asked += 1;
    });
    await expect(refused).rejects.toMatchObject({ kind: 'ledger-unavailable', delayMs: 600 });
    await expect(refused).rejects.toThrow('ledger shard b is away');
    expect(asked).toBe(0);
  });

  it('lets one try after a while, and opens when the shard answers', async () => {
    const { gate, time, fail } = aGate();
    await fail(0);
    await fail(300);
    time.ms = 1_300;
    let answer = (_: string) => {};
    const first = gate.run(() => new Promise<string>((resolve) => (answer = resolve)));
    await expect(gate.run(async () => 'second')).rejects.toThrow('is away');
    answer('here');
    expect(await first).toBe('here');
    expect(await gate.run(async () => 'third')).toBe('third');
    expect(gate.reason()).toBeUndefined();
  });

  it('stays shut when the one who tried finds nobody', async () => {
    const { gate, time, fail } = aGate();
    await fail(0);
    await fail(300);
    await fail(1_500);
    time.ms = 2_499;
    await expect(gate.run(async () => 1)).rejects.toThrow('is away');
  });

  it('takes any other error for an answer: the shard is there', async () => {
    const { gate, fail } = aGate();
    await fail(0);
    await expect(gate.run(() => Promise.reject(new Error('there is no withdrawal')))).rejects.toThrow();
    await fail(400);
    expect(gate.reason()).toBeUndefined();
  });

  it('lets only so many in at once', async () => {
    const { gate } = aGate(2);
    const answers: (() => void)[] = [];
    const wait = () => new Promise<void>((resolve) => answers.push(resolve));
    const inside = [gate.run(wait), gate.run(wait)];
    await expect(gate.run(wait)).rejects.toThrow('too many calls');
    for (const answer of answers) answer();
    await Promise.all(inside);
    expect(await gate.run(async () => 1)).toBe(1);
  });
});
