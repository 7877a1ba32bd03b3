import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type CountedPayment,
  PAYOUT_MODES,
  type PayoutSandbox,
  startPayoutSandbox,
} from '../../src/engines/embedded/payout-sandbox/index.ts';
import { createHttpPayout } from '../../src/engines/payout-http/index.ts';
import type { Payout, PayoutAnswer, Withdrawal } from '../../src/engines/ports.ts';
import { BrokenInvariant, isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import { createPayer, type Payer, type PayerOptions } from '../../src/stations/8-withdraw/payer.ts';
import { newWithdrawalId } from '../../src/stations/8-withdraw/withdrawal-id.ts';
import { anOrder } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { ledgerFaults, type Rig, startRig, testClock, until } from '../support/rig.ts';
import { behave } from '../support/sandbox.ts';

const FEN = 1_000;
const clock = testClock();

describe('paying out', () => {
  let rig: Rig;
  let sandbox: PayoutSandbox;
  let payers: Payer[];
  let fatal: unknown[];
  let people = 0;
  let tests = 0;

  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    tests += 1;
    payers = [];
    fatal = [];
    sandbox = await startPayoutSandbox({
      port: 0,
      folder: rig.folder(`sandbox-${tests}`),
      clock,
      logger: quiet,
    });
  });
  afterEach(async () => {
    for (const payer of payers) await payer.stop();
    await sandbox.stop();
    // The next test's payer looks at every withdrawal that is not settled.
    for (const one of await rig.ledger.unsettled(1_000)) {
      await rig.ledger.markPaying(one.id, one.account);
      await rig.ledger.settle(one.id, one.account, 'returned', clock.now());
    }
  });

  const payout = () => createHttpPayout({ url: sandbox.url, timeoutMs: 100 });
  const startPayer = (more: Partial<PayerOptions> = {}): Payer => {
    const payer = createPayer({
      ledger: rig.ledger,
      payout: payout(),
      clock,
      logger: quiet,
      random: Math.random,
      onFatal: (error) => fatal.push(error),
      retryMs: 4,
      retryMsMax: 20,
      sweepMs: 10,
      ...more,
    });
    payers.push(payer);
    payer.start();
    return payer;
  };
  const payments = async () => (await (await fetch(`${sandbox.url}/payments`)).json()) as CountedPayment[];
  /** Somebody with 10 yuan who takes `fen` of them out. */
  const hold = async (fen = 300): Promise<Withdrawal> => {
    people += 1;
    const order = anOrder({ person: people, fen: FEN });
    const held = await rig.ledger.hold({
      id: newWithdrawalId(clock.now()),
      account: { actId: order.actId, phaseKey: order.phaseKey },
      amountFen: BigInt(fen) as Withdrawal['amountFen'],
      idempotencyKey: `key-${people}`,
      payloadHash: Buffer.alloc(32),
      requestedAtMs: clock.now(),
      force: [order],
    });
    if (isRefusal(held)) throw new Error(held.detail);
    return held.withdrawal;
  };
  const stateOf = async (one: Withdrawal) => (await rig.ledger.withdrawal(one.account, one.id))!.state;
  const settled = (one: Withdrawal) =>
    until(async () => ['paid', 'returned'].includes(await stateOf(one)), `${one.id} is settled`);
  /** Exactly one payment when paid, none when returned, and the ledger says the same. */
  const assertRight = async (one: Withdrawal, end: 'paid' | 'returned') => {
    expect(await stateOf(one)).toBe(end);
    const paidTimes = (await payments()).find((payment) => payment.payoutId === one.id)?.paidTimes ?? 0;
    expect(paidTimes).toBe(end === 'paid' ? 1 : 0);
    const { balanceFen, heldFen, incomeFen } = await rig.ledger.wallet(one.account, []);
    const left = end === 'paid' ? BigInt(FEN) - one.amountFen : BigInt(FEN);
    expect({ balanceFen, heldFen, incomeFen }).toEqual({
      balanceFen: left,
      heldFen: 0n,
      incomeFen: BigInt(FEN),
    });
    expect([await ledgerFaults(rig.pool), fatal]).toEqual([[], []]);
  };
  /** How a withdrawal ends, once the payout behaves again where that is needed. */
  const endOf = (mode: string) => (mode === 'reject' ? 'returned' : 'paid');

  it.each(PAYOUT_MODES)('ends in mode %s with one payment, or none and the money back', async (mode) => {
    await behave(sandbox, { mode, lateMs: 60 });
    const one = await hold();
    const payer = startPayer();
    payer.take(one);
    if (mode === 'fail' || mode === 'time-out-not-done') {
      await until(() => payer.status().unknownAnswers >= 3, 'it was asked again and again');
      expect(await stateOf(one)).toBe('paying');
      await behave(sandbox, { mode: 'ok' });
    }
    await settled(one);
    await assertRight(one, endOf(mode));
  });

  it.each(PAYOUT_MODES)('ends the same in mode %s when the process dies after asking', async (mode) => {
    await behave(sandbox, { mode, lateMs: 60 });
    const one = await hold();
    // The question went out; whatever came back was heard by nobody.
    await rig.ledger.markPaying(one.id, one.account);
    await payout().pay(one);
    if (mode === 'fail' || mode === 'time-out-not-done') await behave(sandbox, { mode: 'ok' });
    startPayer();
    await settled(one);
    await assertRight(one, endOf(mode));
  });

  it.each(PAYOUT_MODES)('ends the same in mode %s when the process dies before asking', async (mode) => {
    const [held, marked] = [await hold(), await hold()];
    await rig.ledger.markPaying(marked.id, marked.account);
    await behave(sandbox, { mode, lateMs: 60 });
    const payer = startPayer();
    if (mode === 'fail' || mode === 'time-out-not-done') {
      await until(() => payer.status().unknownAnswers >= 2, 'both were asked for');
      await behave(sandbox, { mode: 'ok' });
    }
    for (const one of [held, marked]) {
      await settled(one);
      await assertRight(one, endOf(mode));
    }
  });

  it.each(PAYOUT_MODES)(
    'ends the same in mode %s through restarts of both in quick succession',
    async (mode) => {
      await behave(sandbox, { mode, lateMs: 30 });
      const all = await Promise.all([hold(1), hold(2), hold(3)]);
      for (let restart = 0; restart < 4; restart += 1) {
        const payer = startPayer();
        await until(() => payer.status().trackedWithdrawals > 0 || restart > 0, 'it works on them');
        await payer.stop();
      }
      await sandbox.stop();
      sandbox = await startPayoutSandbox({
        port: 0,
        folder: rig.folder(`sandbox-${tests}`),
        clock,
        logger: quiet,
      });
      startPayer();
      for (const one of all) await settled(one);
      const ends = new Map((await payments()).map((payment) => [payment.payoutId, payment.state]));
      for (const one of all) await assertRight(one, ends.get(one.id) === 'rejected' ? 'returned' : 'paid');
    },
  );

  it('is paid once when two processes work on it at the same time', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => hold()));
    startPayer();
    startPayer();
    for (const one of all) await settled(one);
    for (const one of all) await assertRight(one, 'paid');
  });

  it('lets payouts that are stuck hold up nobody else', async () => {
    await behave(sandbox, { mode: 'late', lateMs: 600_000, amountFen: 11 });
    const stuck = await Promise.all(Array.from({ length: 30 }, () => hold(11)));
    const payer = startPayer({ concurrencyMax: 2, retryMs: 2_000, retryMsMax: 2_000 });
    await until(async () => (await payments()).length === 30, 'all the stuck ones were asked for');
    const startMs = performance.now();
    const one = await hold(12);
    payer.take(one);
    await settled(one);
    expect(performance.now() - startMs).toBeLessThan(1_000);
    expect(await stateOf(stuck[0]!)).toBe('paying');
  });

  it('asks no more at once than it may, and keeps no more in mind than it may', async () => {
    let now = 0;
    let most = 0;
    const slow = (): Promise<PayoutAnswer> => {
      now += 1;
      most = Math.max(most, now);
      return new Promise((resolve) => {
        setTimeout(() => {
          now -= 1;
          resolve({ answer: 'paid' });
        }, 5);
      });
    };
    const all = await Promise.all(Array.from({ length: 25 }, () => hold()));
    const payer = startPayer({ payout: { pay: slow, query: slow }, concurrencyMax: 3, trackedMax: 10 });
    for (const one of all) payer.take(one);
    expect(payer.status().trackedWithdrawals).toBeLessThanOrEqual(10);
    for (const one of all) await settled(one);
    expect(most).toBe(3);
  });

  it('first asks what became of a withdrawal that a process before may have asked for', async () => {
    const [fresh, taken] = [await hold(), await hold()];
    await rig.ledger.markPaying(taken.id, taken.account);
    const questions: string[] = [];
    const noting =
      (question: string): Payout['pay'] =>
      async (one) => {
        questions.push(`${question} ${one.id === fresh.id ? 'the fresh one' : 'the other'}`);
        return { answer: question === 'query' ? 'unheard-of' : 'paid' };
      };
    startPayer({ payout: { pay: noting('pay'), query: noting('query') } });
    for (const one of [fresh, taken]) await settled(one);
    expect(questions.sort()).toEqual(['pay the fresh one', 'pay the other', 'query the other']);
  });

  it('pays nothing that an old look takes for unpaid, whatever the payout has forgotten', async () => {
    const one = await hold();
    await rig.ledger.markPaying(one.id, one.account);
    await rig.ledger.settle(one.id, one.account, 'returned', clock.now());
    let paid = 0;
    const forgetful: Payout = {
      pay: async () => {
        paid += 1;
        return { answer: 'paid' };
      },
      query: async () => ({ answer: 'unheard-of' }),
    };
    const payer = startPayer({ payout: forgetful });
    for (const state of ['held', 'paying'] as const) {
      payer.take({ ...one, state });
      await until(() => payer.status().trackedWithdrawals === 0, 'it let go of it');
    }
    expect([paid, await stateOf(one), fatal]).toEqual([0, 'returned', []]);
  });

  it.each(['before', 'behind'])(
    'takes up nothing twice when a look that began %s it was taken up comes back after it was settled',
    async (when) => {
      const one = await hold();
      let looks = 0;
      const questions: string[] = [];
      const asked = (question: string) => async () => {
        questions.push(question);
        await until(() => looks > 0, 'a look has begun');
        return { answer: 'paid' } as const;
      };
      const payer = startPayer({
        payout: { pay: asked('pay'), query: asked('query') },
        ledger: {
          ...rig.ledger,
          unsettled: async (limit) => {
            if (when === 'before') await until(() => questions.length > 0, 'it was taken up');
            const found = await rig.ledger.unsettled(limit);
            if (found.length === 0 || questions.length === 0) return found;
            looks += 1;
            await settled(one);
            await until(() => payer.status().trackedWithdrawals === 0, 'it let go of it');
            return found;
          },
        },
      });
      payer.take(one);
      await settled(one);
      await until(() => looks > 0, 'an old look has come back');
      await payer.stop();
      expect(questions).toEqual(['pay']);
    },
  );

  it('asks at once when nudged, and not otherwise', async () => {
    const one = await hold();
    let asked = 0;
    let answer: PayoutAnswer = { answer: 'processing' };
    const counting: Payout = {
      pay: async () => answer,
      query: async () => {
        asked += 1;
        return answer;
      },
    };
    const payer = startPayer({ payout: counting, retryMs: 3_600_000, retryMsMax: 3_600_000 });
    payer.take(one);
    await until(async () => (await stateOf(one)) === 'paying', 'it was asked for');
    answer = { answer: 'paid' };
    const nudging = setInterval(() => payer.nudge(one.id), 5);
    await settled(one);
    clearInterval(nudging);
    expect(asked).toBe(1);
  });

  it('asks again when it was nudged while it asked: the answer on its way may be older than the news', async () => {
    const one = await hold();
    const late: Payout = {
      async pay() {
        payer.nudge(one.id);
        return { answer: 'processing' };
      },
      query: async () => ({ answer: 'paid' }),
    };
    const payer = startPayer({ payout: late, retryMs: 3_600_000, retryMsMax: 3_600_000 });
    payer.take(one);
    await settled(one);
  });

  it('is not driven by a flood of nudges, forged ones or true ones', async () => {
    const one = await hold();
    let asked = 0;
    const processing: Payout = {
      pay: async () => ({ answer: 'processing' }),
      query: async () => {
        asked += 1;
        return { answer: 'processing' };
      },
    };
    const payer = startPayer({
      payout: processing,
      retryMs: 3_600_000,
      retryMsMax: 3_600_000,
      nudgesPerSecondMax: 50,
    });
    payer.take(one);
    await until(async () => (await stateOf(one)) === 'paying', 'it was asked for');
    let taken = 0;
    const startMs = performance.now();
    for (let at = 0; at < 20_000; at += 1) {
      if (payer.nudge(at % 2 === 0 ? one.id : newWithdrawalId(clock.now()))) taken += 1;
      if (at % 500 === 0) await new Promise(setImmediate);
    }
    const seconds = (performance.now() - startMs) / 1_000;
    expect(taken).toBeLessThanOrEqual(50 + 50 * seconds);
    expect(asked).toBeLessThanOrEqual(1 + seconds / 0.05);
    expect(await stateOf(one)).toBe('paying');
  });

  it('outlives a ledger that is away, at each of its steps', async () => {
    let failures = 6;
    const shaky = async <Result>(act: () => Promise<Result>): Promise<Result> => {
      failures -= 1;
      if (failures > 0) throw new RetryableFault('ledger-unavailable', 'away', 1);
      return act();
    };
    const one = await hold();
    startPayer({
      ledger: {
        ...rig.ledger,
        unsettled: (limit) => shaky(() => rig.ledger.unsettled(limit)),
        markPaying: (id, account) => shaky(() => rig.ledger.markPaying(id, account)),
        settle: (id, account, end, atMs) => shaky(() => rig.ledger.settle(id, account, end, atMs)),
      },
    });
    await settled(one);
    await assertRight(one, 'paid');
  });

  it('tells the process of a broken invariant', async () => {
    const one = await hold();
    const broken = new BrokenInvariant('I1', 'for the test');
    const payer = startPayer({
      ledger: { ...rig.ledger, settle: () => Promise.reject(broken) },
      sweepMs: 60_000,
    });
    payer.take(one);
    await until(() => fatal.length > 0, 'the process is told');
    expect(fatal).toEqual([broken]);
  });

  it('stops orderly while a payout does not answer, and asks nothing afterwards', async () => {
    await behave(sandbox, { mode: 'time-out-not-done' });
    const one = await hold();
    const payer = startPayer();
    await until(() => payer.status().unknownAnswers > 0, 'it was asked for');
    await payer.stop();
    payer.take(await hold());
    payer.nudge(one.id);
    expect(payer.status().trackedWithdrawals).toBe(0);
    expect(await stateOf(one)).toBe('paying');
  });

  it('leaves alone what has ended', async () => {
    const one = await hold();
    startPayer().take(one);
    await settled(one);
    const before = await payments();
    const again = startPayer();
    again.take({ ...one, state: 'paid' });
    again.take(one);
    await until(() => again.status().trackedWithdrawals === 0, 'it looked');
    expect(await payments()).toEqual(before);
    await assertRight(one, 'paid');
  });
});
