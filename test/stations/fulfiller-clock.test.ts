import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Award, Awards, FulfilAnswer } from '../../src/engines/ports.ts';
import { createFulfiller, type Downstream, type Fulfiller } from '../../src/stations/6-fulfil/fulfiller.ts';
import type { OrderNumber } from '../../src/vocabulary/order-number.ts';
import { anOrder } from '../support/orders.ts';
import { awardOfScene, pieceCampaign } from '../support/pieces.ts';
import { ledgerFaults, type Rig, startRig, testClock, until } from '../support/rig.ts';

const AHEAD_MS = 20 * 60_000;
const BACK_OFF_MS_MAX = 300_000;
const WITHIN_MS = 30_000;

describe('handing out pieces by a clock that was ahead', { timeout: 60_000 }, () => {
  const clock = testClock();
  let rig: Rig;
  let fulfillers: Fulfiller[];
  let fatal: unknown[];
  let settled: string[];
  let warnings: { readonly msg: string; readonly pieces?: number }[];
  let people = 0;
  /** What the downstream says when it is asked for a piece, and for which it was asked, in order. */
  let says: FulfilAnswer;
  let askedFor: OrderNumber[];

  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig.stop());
  beforeEach(() => {
    [fulfillers, fatal, settled, warnings, askedFor] = [[], [], [], [], []];
    says = { answer: 'fulfilled' };
  });
  afterEach(async () => {
    for (const fulfiller of fulfillers) await fulfiller.stop();
    expect([await ledgerFaults(rig.pool), fatal]).toEqual([[], []]);
  });

  const logger = pino({ level: 'warn' }, { write: (line: string) => warnings.push(JSON.parse(line)) });
  const waysOf = (name: string, more: Partial<Downstream> = {}): Downstream => ({
    connector: {
      name,
      give: async ({ orderNumber }) => {
        askedFor.push(orderNumber);
        return says;
      },
      query: async () => ({ answer: 'unheard-of' }),
    },
    timeoutMs: 100,
    concurrencyMax: 8,
    perSecondMax: undefined,
    ...more,
  });
  const start = (awards: Awards = rig.ledger, cinema: Partial<Downstream> = {}): Fulfiller => {
    const known = new Map([
      ['drinks-shop', waysOf('drinks-shop')],
      ['cinema', waysOf('cinema', cinema)],
    ]);
    const fulfiller = createFulfiller({
      awards,
      downstream: (name) => known.get(name),
      campaigns: () => [pieceCampaign],
      clock,
      logger,
      random: Math.random,
      onFatal: (error) => fatal.push(error),
      onSettled: (_, state) => settled.push(state),
      // The first pause is the longest one.
      retryMs: BACK_OFF_MS_MAX,
      retryMsMax: BACK_OFF_MS_MAX,
      sweepMs: 5,
      strayMs: 10,
    });
    fulfillers.push(fulfiller);
    fulfiller.start();
    return fulfiller;
  };
  /** Credited by a process that follows the same clock. */
  const grants = async (count: number, scene = 'tea'): Promise<Award[]> => {
    const orders = Array.from({ length: count }, () => {
      people += 1;
      return anOrder({ person: people, scene, award: awardOfScene(scene), fen: 1_900, atMs: clock.now() });
    });
    await rig.ledger.credit(orders);
    return Promise.all(orders.map((order) => now({ account: order, orderNumber: order.orderNumber })));
  };
  const now = async ({ account, orderNumber }: Pick<Award, 'account' | 'orderNumber'>): Promise<Award> =>
    (await rig.ledger.award(account, orderNumber))!;
  const allEnded = async (pieces: readonly Award[]) => {
    await until(() => settled.length >= pieces.length, 'all are handed out', WITHIN_MS);
    expect([...new Set((await Promise.all(pieces.map(now))).map(({ state }) => state))]).toEqual([
      'fulfilled',
    ]);
  };
  const hurried = () => warnings.filter(({ pieces }) => pieces !== undefined);

  it('hands out what was granted, claimed and put off meanwhile, once the clock is right again', async () => {
    const rightMs = clock.now();
    clock.set(rightMs + AHEAD_MS);
    says = { answer: 'unknown', reason: 'no answer', isThere: true };
    const [putOff] = await grants(1);
    const before = start();
    await until(async () => (await now(putOff!)).tries === 1, 'it was put off', WITHIN_MS);
    await before.stop();
    const [claimed] = await grants(1);
    // By a process that died before it asked.
    await rig.ledger.markAsking(claimed!.account, claimed!.orderNumber, {
      dueAtMs: claimed!.dueAtMs,
      untilMs: (clock.now() + 2_400) as never,
    });
    const [granted] = await grants(1, 'film');
    expect(
      Math.min(...(await Promise.all([putOff!, claimed!, granted!].map(now))).map((one) => one.dueAtMs)),
    ).toBe(rightMs + AHEAD_MS);

    clock.set(rightMs);
    says = { answer: 'fulfilled' };
    start();
    await allEnded([putOff!, claimed!, granted!]);
    expect(await now(granted!)).toMatchObject({ tries: 1 });
    expect(await now(putOff!)).toMatchObject({ tries: 2 });
    expect(hurried().reduce((sum, { pieces }) => sum + pieces!, 0)).toBe(3);
    expect(askedFor.sort()).toEqual([putOff, putOff, claimed, granted].map((one) => one!.orderNumber).sort());
  });

  it('hurries however many there are', async () => {
    const rightMs = clock.now();
    clock.set(rightMs + AHEAD_MS);
    const many = await grants(205, 'hello');
    clock.set(rightMs);
    start();
    await allEnded(many);
    expect(hurried().map(({ pieces }) => pieces)).toEqual([205]);
  });

  it('leaves alone what was put off for no longer than the longest pause, or the longest claim', async () => {
    says = { answer: 'unknown', reason: 'no answer', isThere: true };
    const [putOff] = await grants(1);
    const [claimed] = await grants(1, 'film');
    // Of the cinema, in whose hands a piece may be for 4 questions of 10 minutes.
    const slow = { timeoutMs: 600_000 };
    const claim = { dueAtMs: claimed!.dueAtMs, untilMs: (clock.now() + 4 * slow.timeoutMs) as never };
    await rig.ledger.markAsking(claimed!.account, claimed!.orderNumber, claim);
    let looks = 0;
    const awards: Awards = {
      ...rig.ledger,
      async awardsDueBehind(...ask) {
        const found = await rig.ledger.awardsDueBehind(...ask);
        if (askedFor.length > 0) looks += 1;
        return found;
      },
    };
    start(awards, slow);
    await until(async () => (await now(putOff!)).tries === 1, 'it was put off', WITHIN_MS);
    const { dueAtMs } = await now(putOff!);
    const from = looks;
    await until(() => looks >= from + 3, 'it was looked for what is due too late', WITHIN_MS);
    expect(await now(putOff!)).toMatchObject({ dueAtMs, tries: 1 });
    expect(await now(claimed!)).toMatchObject({ dueAtMs: claim.untilMs, state: 'asking' });
    expect(hurried()).toEqual([]);
    expect(askedFor).toEqual([putOff!.orderNumber]);
  });
});
