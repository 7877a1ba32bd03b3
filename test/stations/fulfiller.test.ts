import { describe, expect, it } from 'vitest';
import type { CampaignSnapshot } from '../../src/campaign/snapshot.ts';
import { DOWNSTREAM_MODES, type DownstreamMode } from '../../src/engines/embedded/award-sandbox/index.ts';
import type { Award, Awards, Connector, FulfilAnswer } from '../../src/engines/ports.ts';
import { BrokenInvariant, RetryableFault } from '../../src/protocol/failures.ts';
import type { Downstream } from '../../src/stations/6-fulfil/fulfiller.ts';
import type { SceneId } from '../../src/vocabulary/ids.ts';
import { fulfilStage, through } from '../support/fulfil-stage.ts';
import { seeded, testSeed } from '../support/orders.ts';
import { pieceCampaign } from '../support/pieces.ts';
import { until } from '../support/rig.ts';

describe('handing out pieces', { timeout: 60_000 }, () => {
  const {
    clock,
    fulfillers,
    fatal,
    settledAs,
    answers,
    rig,
    viaSandbox,
    impatient,
    startFulfiller,
    behave,
    pieces,
    grant,
    grants,
    now,
    ended,
    fulfilledOf,
    assertRight,
  } = fulfilStage();
  const needsMending: readonly DownstreamMode[] = [
    'http-500',
    'time-out-not-done',
    'processing-for-ever',
    'fail',
    'cut-before',
  ];
  const triedOften = (one: Award) =>
    until(async () => (await now(one)).tries >= 3, 'it was asked for again and again');

  it.each(DOWNSTREAM_MODES)('ends with one piece, or none and a dead letter: %s', async (mode) => {
    await behave({ mode, lateMs: 200 });
    const one = await grant();
    startFulfiller({ downstream: impatient });
    if (needsMending.includes(mode)) {
      await triedOften(one);
      expect(['granted', 'asking']).toContain((await now(one)).state);
      await behave({ mode: 'ok' });
    }
    await ended(one);
    await assertRight(one, mode === 'reject' ? 'dead' : 'fulfilled');
  });

  it.each(DOWNSTREAM_MODES)('ends the same when the process dies after asking: %s', async (mode) => {
    await behave({ mode, lateMs: 100 });
    const one = await grant();
    await rig().ledger.markAsking(one.account, one.orderNumber, {
      dueAtMs: one.dueAtMs,
      untilMs: clock.now(),
    });
    const { orderNumber, account, worthFen } = one;
    const ask = { orderNumber, phaseKey: account.phaseKey, item: 'tea', actId: account.actId, worthFen };
    await impatient('drinks-shop').connector.give(ask);
    if (needsMending.includes(mode)) await behave({ mode: 'ok' });
    startFulfiller();
    await ended(one);
    await assertRight(one, mode === 'reject' ? 'dead' : 'fulfilled');
  });

  it('is a dead letter at the first definite failure where the scene does not compensate, until it is replayed', async () => {
    await behave({ mode: 'fail' });
    const one = await grant('film');
    startFulfiller();
    await ended(one);
    await assertRight(one, 'dead');
    expect(await now(one)).toMatchObject({ reason: 'told to fail; nothing was done', tries: 1 });
    expect((await rig().ledger.deadAwards(undefined, 99)).map(({ orderNumber }) => orderNumber)).toContain(
      one.orderNumber,
    );
    await behave({ mode: 'ok' });
    answers.length = 0;
    expect(await rig().ledger.replayAward(one.account, one.orderNumber, clock.now())).toBe(true);
    await until(async () => (await now(one)).state === 'fulfilled', 'it was replayed');
    await assertRight(one, 'fulfilled');
    // What became of it is asked first; it is asked for anew only since nobody there has heard of it.
    expect(answers).toEqual(['cinema unheard-of', 'cinema fulfilled']);
  });

  it('grants nothing anew that was handed out before it was taken for dead', async () => {
    const one = await grant('film');
    await rig().ledger.markAsking(one.account, one.orderNumber);
    const { orderNumber, account, worthFen } = one;
    const ask = { orderNumber, phaseKey: account.phaseKey, item: 'film', actId: account.actId, worthFen };
    await viaSandbox('cinema').connector.give(ask);
    await rig().ledger.settleAward(account, orderNumber, { state: 'dead', reason: 'for the test' });
    await rig().ledger.replayAward(account, orderNumber, clock.now());
    startFulfiller();
    await until(async () => (await now(one)).state === 'fulfilled', 'it was replayed');
    expect(answers).toEqual(['cinema fulfilled']);
    await assertRight(one, 'fulfilled');
  });

  it('asks about what is unknown, and for it again only when nobody there has heard of it', async () => {
    const said: FulfilAnswer[] = [
      { answer: 'unknown', reason: 'cut', isThere: true },
      { answer: 'unknown', reason: 'cut', isThere: true },
      { answer: 'processing' },
      { answer: 'unheard-of' },
      { answer: 'unknown', reason: 'cut', isThere: true },
      { answer: 'fulfilled', voucher: 'A-1' },
    ];
    const asked: string[] = [];
    const next = (question: string) => async (): Promise<FulfilAnswer> => {
      asked.push(question);
      return said[asked.length - 1]!;
    };
    const one = await grant();
    startFulfiller({ downstream: () => through({ give: next('give'), query: next('query') }) });
    await ended(one);
    expect(asked).toEqual(['give', 'query', 'query', 'query', 'give', 'query']);
    expect(await now(one)).toMatchObject({ state: 'fulfilled', voucher: 'A-1' });
  });

  it('asks for it again when it was certainly not handed out and the scene compensates', async () => {
    const asked: string[] = [];
    const one = await grant();
    startFulfiller({
      downstream: () =>
        through({
          give: async () => {
            asked.push('give');
            return asked.length < 4 ? { answer: 'failed', reason: 'sold out' } : { answer: 'fulfilled' };
          },
          query: async () => {
            asked.push('query');
            return { answer: 'unheard-of' };
          },
        }),
    });
    await ended(one);
    expect(asked).toEqual(['give', 'give', 'give', 'give']);
    expect(await now(one)).toMatchObject({ state: 'fulfilled', tries: 4 });
  });

  it('needs nobody for a greeting', async () => {
    const one = await grant('hello');
    startFulfiller({ downstream: () => undefined });
    await ended(one);
    expect(await now(one)).toMatchObject({ state: 'fulfilled' });
    expect([settledAs, fatal]).toEqual([['in-house fulfilled'], []]);
  });

  it.each<[string, (campaign: CampaignSnapshot) => CampaignSnapshot | undefined, string]>([
    ['its connector is not configured', (campaign) => campaign, 'no connector drinks-shop is configured'],
    ['its campaign is not in force', () => undefined, 'no campaign in force has its phase'],
    [
      'its scene is gone',
      (campaign) => ({
        ...campaign,
        scenes: new Map([...campaign.scenes].filter(([id]) => id !== ('tea' as SceneId))),
      }),
      'campaign gala has no scene tea any more',
    ],
  ])('waits, and says why, when %s; and is handed out once that is mended', async (_, broken, reason) => {
    const one = await grant();
    let isMended = false;
    const campaigns = () => (isMended ? [pieceCampaign] : [broken(pieceCampaign) ?? []].flat());
    startFulfiller({ campaigns, downstream: (name) => (isMended ? viaSandbox(name) : undefined) });
    await until(async () => (await now(one)).reason === reason, 'it says why');
    expect((await now(one)).state).toBe('granted');
    isMended = true;
    await ended(one);
    await assertRight(one, 'fulfilled');
  });

  it('hands each out once when two processes work on the same ones at the same time', async () => {
    const all = await grants(40);
    const gives = new Map<string, number>();
    const counted = (name: string): Downstream => {
      const { connector, ...more } = viaSandbox(name);
      return {
        ...more,
        // A busy machine may take its time: nobody's claim may end meanwhile.
        timeoutMs: 20_000,
        connector: {
          ...connector,
          give: (ask) => {
            gives.set(ask.orderNumber, 1 + (gives.get(ask.orderNumber) ?? 0));
            return connector.give(ask);
          },
        },
      };
    };
    startFulfiller({ downstream: counted });
    startFulfiller({ downstream: counted });
    for (const one of all) await ended(one);
    for (const one of all) await assertRight(one, 'fulfilled');
    expect([...gives.values()].reduce((sum, times) => sum + times, 0)).toBe(40);
  });

  it('ends right for everybody through crashes at any point, with downstreams that misbehave', async () => {
    const random = seeded(testSeed('fulfilling under fire'));
    const all = [...(await grants(20, 'tea')), ...(await grants(10, 'juice')), ...(await grants(10, 'film'))];
    const modeOf = () => DOWNSTREAM_MODES[Math.floor(random() * DOWNSTREAM_MODES.length)]!;
    for (let crash = 0; crash < 8; crash += 1) {
      for (const item of ['tea', 'juice', 'film']) await behave({ mode: modeOf(), item, lateMs: 50 });
      // From a random call on nothing of this process reaches the ledger or hears an answer any more.
      let callsLeft = Math.floor(random() * 60);
      const dead = new Promise<never>(() => {});
      let diedNow = (): void => {};
      const died = new Promise<void>((resolve) => {
        diedNow = resolve;
      });
      const mortal = async <Result>(act: () => Promise<Result>): Promise<Result> => {
        callsLeft -= 1;
        if (callsLeft < 0) diedNow();
        return callsLeft < 0 ? dead : act();
      };
      const { ledger } = rig();
      const awards: Awards = {
        ...ledger,
        dueAwards: (nowMs, limit, scenes) => mortal(() => ledger.dueAwards(nowMs, limit, scenes)),
        markAsking: (account, id, claim) => mortal(() => ledger.markAsking(account, id, claim)),
        deferAward: (account, id, next) => mortal(() => ledger.deferAward(account, id, next)),
        settleAward: (account, id, end) => mortal(() => ledger.settleAward(account, id, end)),
      };
      const downstream = (name: string): Downstream => {
        const { connector, ...more } = impatient(name);
        const give: Connector['give'] = async (ask) => {
          const answer = await connector.give(ask);
          return mortal(async () => answer);
        };
        return { ...more, timeoutMs: 20, connector: { ...connector, give } };
      };
      startFulfiller({ awards, downstream });
      await died;
      fulfillers.pop();
    }
    await behave({ mode: 'ok' });
    startFulfiller();
    for (const one of all) await ended(one);
    for (const one of all) await assertRight(one, (await now(one)).state as 'fulfilled' | 'dead');
    const handedOut = (await pieces()).filter((piece) => piece.handedOutTimes > 0).length;
    expect(await fulfilledOf(all)).toBe(handedOut);
  });

  it('keeps the first end when a downstream contradicts itself', async () => {
    const one = await grant();
    let isAsked = (): void => {};
    const asked = new Promise<void>((resolve) => {
      isAsked = resolve;
    });
    let goOn = (): void => {};
    const going = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const fulfiller = startFulfiller({
      downstream: () =>
        through({
          give: async () => {
            isAsked();
            await going;
            return { answer: 'rejected', reason: 'too late' };
          },
        }),
    });
    await asked;
    await rig().ledger.settleAward(one.account, one.orderNumber, { state: 'fulfilled', voucher: 'A-1' });
    goOn();
    await until(() => fulfiller.status()['drinks-shop']!.inHand === 0, 'the turn is over');
    expect(await now(one)).toMatchObject({ state: 'fulfilled', voucher: 'A-1' });
    expect([fatal, settledAs]).toEqual([[], []]);
  });

  it('outlives a ledger that is away, at each of its steps', async () => {
    let failures = 8;
    const shaky = async <Result>(act: () => Promise<Result>): Promise<Result> => {
      failures -= 1;
      if (failures > 0) throw new RetryableFault('ledger-unavailable', 'away', 1);
      return act();
    };
    const { ledger } = rig();
    const one = await grant();
    startFulfiller({
      awards: {
        ...ledger,
        dueAwards: (nowMs, limit, scenes) => shaky(() => ledger.dueAwards(nowMs, limit, scenes)),
        markAsking: (account, id, claim) => shaky(() => ledger.markAsking(account, id, claim)),
        settleAward: (account, id, end) => shaky(() => ledger.settleAward(account, id, end)),
      },
    });
    await ended(one);
    await assertRight(one, 'fulfilled');
  });

  it('tells the process of a broken invariant', async () => {
    const one = await grant();
    const broken = new BrokenInvariant('I1', 'for the test');
    startFulfiller({ awards: { ...rig().ledger, settleAward: () => Promise.reject(broken) } });
    await until(() => fatal.length > 0, 'the process is told');
    expect(fatal[0]).toBe(broken);
    expect((await now(one)).state).toBe('asking');
  });

  it('stops orderly in the middle of a rate, and leaves what it had claimed to the next', async () => {
    const all = await grants(8);
    const slow = { perSecondMax: 1, concurrencyMax: 4, timeoutMs: 20_000_000 };
    const first = startFulfiller({ downstream: () => through({}, slow) });
    await until(() => first.status()['drinks-shop']?.inHand === 8, 'all are in hand');
    await first.stop();
    startFulfiller();
    for (const one of all) await ended(one);
    expect(await fulfilledOf(all)).toBe(8);
  });
});
