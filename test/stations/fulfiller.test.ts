import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CampaignSnapshot } from '../../src/campaign/snapshot.ts';
import { createHttpConnector } from '../../src/engines/connector-http/index.ts';
import { sandboxEntry } from '../../src/engines/embedded/award-sandbox/entry.ts';
import {
  type AwardSandbox,
  type CountedPiece,
  DOWNSTREAM_MODES,
  type DownstreamMode,
  startAwardSandbox,
} from '../../src/engines/embedded/award-sandbox/index.ts';
import type { Award, Awards, Connector, FulfilAnswer } from '../../src/engines/ports.ts';
import { BrokenInvariant, RetryableFault } from '../../src/protocol/failures.ts';
import {
  createFulfiller,
  type Downstream,
  type Fulfiller,
  type FulfillerOptions,
} from '../../src/stations/6-fulfil/fulfiller.ts';
import type { SceneId } from '../../src/vocabulary/ids.ts';
import { anOrder, seeded, testSeed } from '../support/orders.ts';
import { awardOfScene, fastClock, pieceCampaign } from '../support/pieces.ts';
import { quiet } from '../support/postgres.ts';
import { ledgerFaults, type Rig, startRig, until } from '../support/rig.ts';

/** A claim of some seconds is over in a blink. */
const SPEED = 100;
const clock = fastClock(SPEED);
const WITHIN_MS = 30_000;

describe('handing out pieces', { timeout: 60_000 }, () => {
  let rig: Rig;
  let sandbox: AwardSandbox;
  let fulfillers: Fulfiller[];
  let fatal: unknown[];
  let settledAs: string[];
  let answers: string[];
  let people = 0;
  let tests = 0;

  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    tests += 1;
    fulfillers = [];
    fatal = [];
    settledAs = [];
    answers = [];
    sandbox = await startAwardSandbox({
      port: 0,
      folder: rig.folder(`sandbox-${tests}`),
      clock,
      logger: quiet,
    });
  });
  afterEach(async () => {
    for (const fulfiller of fulfillers) await fulfiller.stop();
    await sandbox.stop();
    // The next test's fulfiller looks at everything that is due.
    for (const one of await rig.ledger.stuckAwards(0, undefined, 1_000)) await settleFor(one);
    for (const one of await rig.ledger.dueAwards((clock.now() * 2) as never, 1_000)) await settleFor(one);
  });
  const settleFor = ({ account, orderNumber }: Award) =>
    rig.ledger.settleAward(account, orderNumber, { state: 'fulfilled' });

  const viaSandbox = (name: string, timeoutMs = 10_000): Downstream => ({
    connector: createHttpConnector({
      entry: { ...sandboxEntry(name, sandbox.url), timeoutMs },
      secretOf: () => '',
      nowMs: clock.now,
    }),
    timeoutMs,
    concurrencyMax: 4,
    perSecondMax: undefined,
  });
  /** For downstreams that do not answer; one that does may be taken for silent too, on a busy machine. */
  const impatient = (name: string) => viaSandbox(name, 150);
  const through = (connector: Partial<Connector>, more: Partial<Downstream> = {}): Downstream => ({
    connector: {
      name: 'drinks-shop',
      give: async () => ({ answer: 'fulfilled' }),
      query: async () => ({ answer: 'unheard-of' }),
      ...connector,
    },
    timeoutMs: 100,
    concurrencyMax: 4,
    perSecondMax: undefined,
    ...more,
  });
  /** Operations change nothing meanwhile: the same downstream whenever it is asked for. */
  const steady = (downstream: FulfillerOptions['downstream']): FulfillerOptions['downstream'] => {
    const known = new Map<string, Downstream>();
    return (name) => {
      const found = known.get(name) ?? downstream(name);
      if (found) known.set(name, found);
      return found;
    };
  };
  const startFulfiller = ({
    downstream = (name) => viaSandbox(name),
    isSteady = true,
    ...more
  }: Partial<FulfillerOptions> & { isSteady?: boolean } = {}): Fulfiller => {
    const fulfiller = createFulfiller({
      awards: rig.ledger,
      downstream: isSteady ? steady(downstream) : downstream,
      campaigns: () => [pieceCampaign],
      clock,
      logger: quiet,
      random: Math.random,
      onFatal: (error) => fatal.push(error),
      onAnswer: (connector, answer) => answers.push(`${connector} ${answer}`),
      onSettled: (connector, state) => settledAs.push(`${connector} ${state}`),
      retryMs: 4 * SPEED,
      retryMsMax: 20 * SPEED,
      sweepMs: 10,
      strayMs: 30,
      probeMsFirst: 20,
      ...more,
    });
    fulfillers.push(fulfiller);
    fulfiller.start();
    return fulfiller;
  };
  const behave = async (body: object) => {
    const init = {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    };
    expect((await fetch(`${sandbox.url}/behaviour`, init)).status).toBe(200);
  };
  const pieces = async () => (await (await fetch(`${sandbox.url}/pieces`)).json()) as CountedPiece[];

  const grant = async (scene = 'tea', rain = 1): Promise<Award> => {
    people += 1;
    const order = anOrder({ person: people, scene, rain, award: awardOfScene(scene), fen: 1_900 });
    await rig.ledger.credit([order]);
    return (await rig.ledger.award({ actId: order.actId, phaseKey: order.phaseKey }, order.orderNumber))!;
  };
  const grants = (count: number, scene?: string) =>
    Promise.all(Array.from({ length: count }, () => grant(scene)));
  const now = async (one: Award): Promise<Award> => (await rig.ledger.award(one.account, one.orderNumber))!;
  const ended = (one: Award) =>
    until(
      async () => ['fulfilled', 'dead'].includes((await now(one)).state),
      `${one.orderNumber} has ended`,
      WITHIN_MS,
    );
  /** Handed out once and with the shop's own code when fulfilled, never when dead; and the ledger's sums hold. */
  const assertRight = async (one: Award, end: 'fulfilled' | 'dead') => {
    const piece = (await pieces()).find(({ orderNumber }) => orderNumber === one.orderNumber);
    const { state, voucher } = await now(one);
    expect({ state, voucher, times: piece?.handedOutTimes ?? 0 }).toEqual(
      end === 'fulfilled'
        ? { state: 'fulfilled', voucher: piece?.voucher, times: 1 }
        : { state: 'dead', voucher: undefined, times: 0 },
    );
    if (end === 'fulfilled') expect(voucher).toMatch(/^[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]{4}$/);
    expect([await ledgerFaults(rig.pool), fatal]).toEqual([[], []]);
  };
  const needsMending: readonly DownstreamMode[] = [
    'http-500',
    'time-out-not-done',
    'processing-for-ever',
    'fail',
    'cut-before',
  ];
  const triedOften = (one: Award) =>
    until(async () => (await now(one)).tries >= 3, 'it was asked for again and again', WITHIN_MS);

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
    await rig.ledger.markAsking(one.account, one.orderNumber, {
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
    expect((await rig.ledger.deadAwards(undefined, 99)).map(({ orderNumber }) => orderNumber)).toContain(
      one.orderNumber,
    );
    await behave({ mode: 'ok' });
    answers.length = 0;
    expect(await rig.ledger.replayAward(one.account, one.orderNumber, clock.now())).toBe(true);
    await until(async () => (await now(one)).state === 'fulfilled', 'it was replayed', WITHIN_MS);
    await assertRight(one, 'fulfilled');
    // What became of it is asked first; it is asked for anew only since nobody there has heard of it.
    expect(answers).toEqual(['cinema unheard-of', 'cinema fulfilled']);
  });

  it('grants nothing anew that was handed out before it was taken for dead', async () => {
    const one = await grant('film');
    await rig.ledger.markAsking(one.account, one.orderNumber);
    const { orderNumber, account, worthFen } = one;
    const ask = { orderNumber, phaseKey: account.phaseKey, item: 'film', actId: account.actId, worthFen };
    await viaSandbox('cinema').connector.give(ask);
    await rig.ledger.settleAward(account, orderNumber, { state: 'dead', reason: 'for the test' });
    await rig.ledger.replayAward(account, orderNumber, clock.now());
    startFulfiller();
    await until(async () => (await now(one)).state === 'fulfilled', 'it was replayed', WITHIN_MS);
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

  it('hears what was asked of a downstream to its end before it asks another that took its place', async () => {
    const asked: string[] = [];
    let answer = (_: FulfilAnswer): void => {};
    const old = through({
      give: async ({ orderNumber }) => {
        asked.push(`old ${orderNumber}`);
        return new Promise((resolve) => {
          answer = resolve;
        });
      },
    });
    const next = through({
      give: async ({ orderNumber }) => {
        asked.push(`new ${orderNumber}`);
        return { answer: 'fulfilled', voucher: 'NEW' };
      },
    });
    let current: Downstream | undefined = old;
    const fulfiller = startFulfiller({ downstream: () => current, isSteady: false });
    const one = await grant();
    await until(() => asked.length === 1, 'the old one is asked', WITHIN_MS);
    current = next;
    const other = await grant();
    await until(async () => (await rig.ledger.dueAwards(clock.now(), 10)).length > 0, 'one waits', WITHIN_MS);
    expect(asked).toEqual([`old ${one.orderNumber}`]);
    answer({ answer: 'fulfilled', voucher: 'OLD' });
    await ended(one);
    await ended(other);
    expect([(await now(one)).voucher, (await now(other)).voucher]).toEqual(['OLD', 'NEW']);
    expect(asked).toEqual([`old ${one.orderNumber}`, `new ${other.orderNumber}`]);
    // Taken away: its pieces wait and say why.
    current = undefined;
    await until(() => fulfiller.status()['drinks-shop'] === undefined, 'its lane is closed', WITHIN_MS);
    const last = await grant();
    await until(
      async () => (await now(last)).reason === 'no connector drinks-shop is configured',
      'it says why',
      WITHIN_MS,
    );
    expect([await ledgerFaults(rig.pool), fatal]).toEqual([[], []]);
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
    await until(async () => (await now(one)).reason === reason, 'it says why', WITHIN_MS);
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
      const { ledger } = rig;
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
    expect(settledOf(await Promise.all(all.map(now)))).toBe(handedOut);
  });
  const settledOf = (all: readonly Award[]) => all.filter(({ state }) => state === 'fulfilled').length;

  it('lets a downstream that is stuck hold up no other', async () => {
    const stuck = await grants(60, 'tea');
    let asked = 0;
    const silent = (): Promise<FulfilAnswer> => {
      asked += 1;
      return new Promise((resolve) => {
        setTimeout(() => resolve({ answer: 'unknown', reason: 'TimeoutError' }), 400);
      });
    };
    const downstream = (name: string) =>
      name === 'drinks-shop' ? through({ give: silent, query: silent }) : viaSandbox(name);
    startFulfiller({ downstream });
    await until(() => asked > 0, 'the stuck one was asked');
    const others = await grants(10, 'film');
    for (const one of others) await ended(one);
    for (const one of others) await assertRight(one, 'fulfilled');
    expect(await Promise.all(stuck.map(async (one) => (await now(one)).state))).not.toContain('fulfilled');
    expect(asked).toBeLessThan(stuck.length);
  });

  it('leaves a downstream alone that is away, and comes back by itself', async () => {
    let isAway = true;
    let asked = 0;
    const shop: Connector['give'] = async () => {
      asked += 1;
      return isAway ? { answer: 'unknown', reason: 'ECONNREFUSED' } : { answer: 'fulfilled', voucher: 'A-1' };
    };
    const all = await grants(30);
    const fulfiller = startFulfiller({
      downstream: () => through({ give: shop, query: shop }),
      probeMsFirst: 300,
    });
    await until(() => fulfiller.status()['drinks-shop']?.breaker === 'open', 'the breaker is open');
    const before = asked;
    // Some more sweeps: nobody is asked for but by the probe.
    await until(async () => asked > before, 'a probe');
    expect(asked - before).toBeLessThan(4);
    isAway = false;
    for (const one of all) await ended(one);
    expect(settledOf(await Promise.all(all.map(now)))).toBe(30);
  });

  it('takes what it does not understand for no sign of a downstream being away', async () => {
    const odd: Connector['give'] = async (ask) =>
      ask.item === 'juice'
        ? { answer: 'unknown', reason: 'status 418: no rule fits', isThere: true }
        : { answer: 'fulfilled', voucher: 'A-1' };
    const juices = await grants(20, 'juice');
    const fulfiller = startFulfiller({ downstream: () => through({ give: odd, query: odd }) });
    await until(() => answers.length > 40, 'the odd ones were asked for again and again', WITHIN_MS);
    const tea = await grant('tea');
    await ended(tea);
    expect(fulfiller.status()['drinks-shop']!.breaker).toBe('closed');
    expect((await now(juices[0]!)).state).toBe('asking');
  });

  it('asks no more at once than it may', async () => {
    let asking = 0;
    let most = 0;
    const slow: Connector['give'] = async () => {
      asking += 1;
      most = Math.max(most, asking);
      await new Promise((resolve) => setTimeout(resolve, 10));
      asking -= 1;
      return { answer: 'fulfilled' };
    };
    const all = await grants(30);
    startFulfiller({ downstream: () => through({ give: slow }, { concurrencyMax: 3 }) });
    for (const one of all) await ended(one);
    expect(most).toBe(3);
  });

  it.each([1, 2])('asks no more a second than %d processes may, each for itself', async (processes) => {
    const atMs: number[] = [];
    const timed: Connector['give'] = async () => {
      atMs.push(performance.now());
      return { answer: 'fulfilled' };
    };
    const all = await grants(30 * processes);
    for (let process = 0; process < processes; process += 1)
      startFulfiller({
        downstream: () => through({ give: timed }, { perSecondMax: 20, concurrencyMax: 20 }),
      });
    for (const one of all) await ended(one);
    // More, when one of two lost its claim to this clock, which runs fast.
    expect(atMs.length).toBeGreaterThanOrEqual(30 * processes);
    // At most a second's worth at once, then 20 a second of each.
    expect(atMs.at(-1)! - atMs[0]!).toBeGreaterThan(350);
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
    await rig.ledger.settleAward(one.account, one.orderNumber, { state: 'fulfilled', voucher: 'A-1' });
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
    const { ledger } = rig;
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
    startFulfiller({ awards: { ...rig.ledger, settleAward: () => Promise.reject(broken) } });
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
    expect(settledOf(await Promise.all(all.map(now)))).toBe(8);
  });
});
