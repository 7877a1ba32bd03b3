import { describe, expect, it } from 'vitest';
import { createMemoryHotTotals } from '../../src/engines/embedded/hot-totals.ts';
import type { CreditedSum } from '../../src/engines/ports.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { createCreditedTotal } from '../../src/stations/9-total/credited.ts';
import { aTotal, PHASE } from '../support/totals.ts';

/** A ledger that answers what the test says, and tells when it was asked. */
function rig(monotonicMs: () => number = () => performance.now()) {
  const totals = createMemoryHotTotals();
  let answer: () => Promise<readonly CreditedSum[]> = async () => [];
  let asked = 0;
  let onAsked = (): void => {};
  let turn = true;
  const bugs: unknown[] = [];
  const credited = createCreditedTotal({
    totals,
    ledger: {
      creditedSums: () => {
        asked += 1;
        onAsked();
        return answer();
      },
    },
    asks: () => turn,
    monotonicMs,
    onBug: (error) => bugs.push(error),
    intervalMs: 1,
  });
  return {
    totals,
    credited,
    bugs,
    asked: () => asked,
    says(next: typeof answer) {
      answer = next;
    },
    setTurn(is: boolean) {
      turn = is;
    },
    nextAsk: () =>
      new Promise<void>((resolve) => {
        onAsked = resolve;
      }),
  };
}

const line = (database: string, money: number, packets: number): CreditedSum => ({
  database,
  phaseKey: PHASE,
  credited: aTotal(money, packets),
});

describe('what the ledger has credited, for the total', () => {
  it('is told as it is, each database for itself', async () => {
    const { totals, credited, says } = rig();
    totals.add(PHASE, aTotal(100, 1));
    says(async () => [line('east', 70, 1), line('west', 50, 1)]);
    await credited.askOnce();
    expect(await totals.read(PHASE)).toEqual(aTotal(120, 2));
    // One database is away: what it said before stays.
    says(async () => [line('west', 60, 2)]);
    await credited.askOnce();
    expect(await totals.read(PHASE)).toEqual(aTotal(130, 3));
  });

  it('is asked for again and again, through outages, and by nobody whose turn it is not', async () => {
    const { totals, credited, bugs, asked, says, nextAsk } = rig();
    says(async () => {
      throw new RetryableFault('ledger-unavailable', 'away', 1);
    });
    credited.start();
    await nextAsk();
    await nextAsk();
    says(async () => [line('east', 70, 1)]);
    await nextAsk();
    await nextAsk();
    expect(await totals.read(PHASE)).toEqual(aTotal(70, 1));
    says(async () => {
      throw new Error('a bug');
    });
    await nextAsk();
    await nextAsk();
    expect(bugs[0]).toMatchObject({ message: 'a bug' });
    await credited.stop();

    const idle = rig();
    idle.setTurn(false);
    idle.credited.start();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(idle.asked()).toBe(0);
    expect(asked()).toBeGreaterThan(5);
    await idle.credited.stop();
  });

  it('is asked soon again after looks that hung, and seldom when each of them takes long', async () => {
    let nowMs = 0;
    let takesMs = 0;
    const { credited, asked, says, nextAsk } = rig(() => nowMs);
    says(async () => {
      nowMs += takesMs;
      return [line('east', 70, 1)];
    });
    credited.start();
    await nextAsk();
    takesMs = 600_000;
    for (let hung = 0; hung < 3; hung += 1) await nextAsk();
    takesMs = 0;
    for (let looks = 0; looks < 8; looks += 1) await nextAsk();
    takesMs = 600_000;
    for (let slow = 0; slow < 8; slow += 1) await nextAsk();
    const before = asked();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(asked()).toBe(before);
    await credited.stop();
  });
});
