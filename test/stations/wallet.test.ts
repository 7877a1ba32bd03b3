import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isRefusal, refuse } from '../../src/protocol/failures.ts';
import { decodeCursor } from '../../src/rules/merge-records.ts';
import { type Creditor, createCreditor } from '../../src/stations/5-credit/creditor.ts';
import type { RecordsPage, WalletOverview } from '../../src/stations/7-wallet/wallet.ts';
import { newWithdrawalId } from '../../src/stations/8-withdraw/withdrawal-id.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { formatOrderNumber } from '../../src/vocabulary/order-number.ts';
import { GRAY_OPENS_MS, LIVE_CLOSES_MS, LIVE_OPENS_MS, playerOf, testCampaign } from '../support/campaign.ts';
import { type Money, type MoneyOptions, openMoney } from '../support/money.ts';
import { anOrder, seeded, testSeed } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { ledgerFaults, type Promises, type Rig, startRig, testClock } from '../support/rig.ts';

const NIGHT_MS = 1_800_000_000_000;
const clock = testClock(NIGHT_MS);
const url = '/v1/campaigns/gala/wallet';

describe('the wallet', () => {
  let rig: Rig;
  let promises: Promises;
  let money: Money;
  let person = 0;
  let tests = 0;

  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    tests += 1;
    person += 1;
    clock.set(NIGHT_MS);
    promises = await rig.journal(`wallet-${tests}`);
    money = await open();
    return () => promises.log.close();
  });

  const open = (more: Partial<MoneyOptions> = {}) =>
    openMoney({ rig, promises: () => promises, clock, keys: rig.folder('keys'), ...more });
  const creditor = (): Creditor =>
    createCreditor({
      ...promises,
      ledger: rig.ledger,
      clock,
      logger: quiet,
      random: Math.random,
      onFatal: (error) => {
        throw error;
      },
    });
  const overview = async (tokens: readonly string[] = []): Promise<WalletOverview> => {
    const answer = await money.wallet.overview(playerOf(person), testCampaign, tokens);
    if (isRefusal(answer)) throw new Error(answer.detail);
    return answer;
  };
  const allRecords = async (limit: number): Promise<RecordsPage['records'][number][]> => {
    const all: RecordsPage['records'][number][] = [];
    let cursor: string | undefined;
    do {
      const page = await money.wallet.records(
        playerOf(person),
        testCampaign,
        cursor === undefined ? undefined : decodeCursor(cursor),
        limit,
      );
      if (isRefusal(page)) throw new Error(page.detail);
      all.push(...page.records);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return all;
  };
  const anOrderOf = (rain: number, more: Partial<Parameters<typeof anOrder>[0]> = {}): Order =>
    anOrder({ person, rain, atMs: NIGHT_MS + rain, fen: 100 + rain, ...more });
  const hold = (fen: number) =>
    rig.ledger.hold({
      id: newWithdrawalId(clock.now()),
      account: { actId: playerOf(person).actId, phaseKey: testCampaign.phases[1]!.key },
      amountFen: BigInt(fen) as Fen,
      idempotencyKey: `hold-${person}-${fen}`,
      payloadHash: Buffer.alloc(32),
      requestedAtMs: clock.now(),
      force: [],
    });

  it('of somebody who has nothing is empty', async () => {
    expect(await overview()).toEqual({
      balanceFen: 0n,
      creditedFen: 0n,
      outstandingFen: 0n,
      heldFen: 0n,
      totalIncomeFen: 0n,
      awards: [],
      records: [],
      refusedTokens: [],
      complete: true,
    });
  });

  it('shows pieces beside the money, promised and credited ones each once, and lets them be used', async () => {
    const [tea, film] = [
      anOrderOf(1, { award: 'drinks-coupon', fen: 1_000 }),
      anOrderOf(2, { award: 'cinema-ticket', fen: 0 }),
    ];
    await promises.promise([tea, film]);
    await rig.ledger.credit([tea]);
    const states = async () =>
      (await overview()).awards.map(({ awardType, state, worthFen }) => [awardType, state, worthFen]);
    expect(await states()).toEqual([
      ['cinema-ticket', 'granted', 0n],
      ['drinks-coupon', 'granted', 1_000n],
    ]);
    expect(await overview()).toMatchObject({ balanceFen: 0n, totalIncomeFen: 0n, records: [] });

    const use = (orderNumber: string, who = person) =>
      money.wallet.use(playerOf(who), testCampaign, orderNumber);
    expect(await use(film.orderNumber)).toMatchObject({ refused: 'award-unknown' });
    expect(await use(tea.orderNumber)).toMatchObject({ refused: 'award-not-ready' });
    const account = { actId: tea.actId, phaseKey: tea.phaseKey };
    await rig.ledger.markAsking(account, tea.orderNumber);
    await rig.ledger.settleAward(account, tea.orderNumber, { state: 'fulfilled', voucher: 'TEA-1' });
    expect(await use(tea.orderNumber, person + 1)).toMatchObject({ refused: 'award-unknown' });
    const used = await use(tea.orderNumber);
    expect(used).toMatchObject({ state: 'used', voucher: 'TEA-1', usedAtMs: NIGHT_MS });
    clock.set(NIGHT_MS + 60_000);
    expect(await use(tea.orderNumber)).toEqual(used);
    expect(await use('nonsense')).toMatchObject({ refused: 'award-unknown' });
    expect(await states()).toContainEqual(['drinks-coupon', 'used', 1_000n]);
  });

  it('shows credited, outstanding and held money, each with its lines', async () => {
    const [credited, outstanding] = [anOrderOf(1), anOrderOf(2)];
    await rig.ledger.credit([credited]);
    await promises.promise([outstanding]);
    await hold(40);
    const shown = await overview();
    expect(shown).toMatchObject({
      balanceFen: 61n + 102n,
      creditedFen: 61n,
      outstandingFen: 102n,
      heldFen: 40n,
      totalIncomeFen: 203n,
    });
    expect(shown.records).toMatchObject([
      {
        kind: 'credit',
        amountFen: 102n,
        status: 'outstanding',
        bill: { en: 'Packet rain' },
        sceneId: 'cash',
        rainId: 2,
      },
      { kind: 'credit', amountFen: 101n, status: 'credited', bill: { zh: '红包雨' }, rainId: 1 },
      { kind: 'withdrawal', amountFen: -40n, status: 'held', bill: { zh: '提现', en: 'Withdrawal' } },
    ]);
  });

  it('counts a packet once that the ledger has already and the book does not know yet to be credited', async () => {
    const order = anOrderOf(1);
    await promises.promise([order]);
    await rig.ledger.credit([order]);
    const shown = await overview();
    expect([shown.balanceFen, shown.outstandingFen, shown.totalIncomeFen]).toEqual([101n, 0n, 101n]);
    expect(shown.records.map((record) => record.status)).toEqual(['credited']);
  });

  it('shows the phase of now, else the last that ended; before the first there is none', async () => {
    await promises.promise([anOrderOf(1), anOrderOf(2, { phase: 'gray', phaseKey: 2 })]);
    const shownAt = async (atMs: number) => {
      clock.set(atMs);
      const answer = await money.wallet.overview(playerOf(person), testCampaign, []);
      return isRefusal(answer) ? answer.refused : Number(answer.balanceFen);
    };
    expect(await shownAt(GRAY_OPENS_MS - 1)).toBe('phase-closed');
    expect(await shownAt(GRAY_OPENS_MS)).toBe(102);
    expect(await shownAt(LIVE_OPENS_MS - 1)).toBe(102);
    expect(await shownAt(LIVE_OPENS_MS)).toBe(101);
    expect(await shownAt(LIVE_CLOSES_MS + 86_400_000)).toBe(101);
  });

  it('shows every packet exactly once at any moment while it is being credited, however the two interleave', async () => {
    const random = seeded(testSeed('wallet while crediting'));
    const crediting = creditor();
    crediting.start();
    const ROUNDS = 120;
    let promisedFen = 0n;
    let promisedCount = 0;
    let surelyPromised = 0n;
    let done = false;
    /** Others keep the creditor busy, so that batches end at any place. */
    const noise = async () => {
      for (let at = 0; !done; at += 1) {
        await promises.promise([anOrder({ person: 500_000 + tests * 10_000 + at, fen: 1 })]);
        if (random() < 0.2) crediting.setRate(random() < 0.5 ? 2_000 : undefined);
      }
    };
    const winner = async () => {
      for (let rain = 1; rain <= ROUNDS; rain += 1) {
        const order = anOrderOf(rain, { atMs: NIGHT_MS + Math.floor(random() * 40) });
        promisedFen += order.amountFen;
        promisedCount += 1;
        await promises.promise([order]);
        surelyPromised += order.amountFen;
        if (random() < 0.3) await new Promise((resolve) => setTimeout(resolve, random() * 3));
      }
      done = true;
    };
    let looks = 0;
    const reader = async () => {
      let lastFen = 0n;
      while (!done) {
        const leastFen = surelyPromised > lastFen ? surelyPromised : lastFen;
        const shown = await overview();
        expect(shown.balanceFen).toBeGreaterThanOrEqual(leastFen);
        expect(shown.balanceFen).toBeLessThanOrEqual(promisedFen);
        expect(shown.totalIncomeFen).toBe(shown.balanceFen);
        lastFen = shown.balanceFen;
        looks += 1;
      }
    };
    const pager = async () => {
      while (!done) {
        const surely = surelyPromised;
        const refs = (await allRecords(1 + Math.floor(random() * 9))).map((record) => record.ref);
        expect(new Set(refs).size).toBe(refs.length);
        // Pages are read one after another, and packets won meanwhile may be older than the place reached.
        expect(refs.length).toBeLessThanOrEqual(promisedCount);
        if (surely === promisedFen) expect(refs.length).toBe(promisedCount);
      }
    };
    await Promise.all([noise(), winner(), reader(), reader(), pager()]);
    crediting.setRate(undefined);
    await promises.drainedTo(promises.log.end());
    await crediting.stop();
    const shown = await overview();
    expect([shown.balanceFen, shown.outstandingFen]).toEqual([promisedFen, 0n]);
    expect(await allRecords(7)).toHaveLength(ROUNDS);
    expect(looks).toBeGreaterThan(20);
  });

  it('turns pages without repeating or skipping while what stands on them turns from token to credit', async () => {
    const orders = Array.from({ length: 60 }, (_, at) => anOrderOf(at + 1, { atMs: NIGHT_MS + (at % 5) }));
    await promises.promise(orders);
    const random = seeded(testSeed('wallet pages'));
    const seen: string[] = [];
    let cursor: string | undefined;
    let credited = 0;
    do {
      const count = Math.floor(random() * 12);
      await rig.ledger.credit(orders.slice(credited, credited + count));
      if (random() < 0.5) await promises.book.advance(orders.slice(0, credited), 8);
      credited += count;
      const after = cursor === undefined ? undefined : decodeCursor(cursor);
      const page = await money.wallet.records(
        playerOf(person),
        testCampaign,
        after,
        1 + Math.floor(random() * 9),
      );
      if (isRefusal(page)) throw new Error(page.detail);
      seen.push(...page.records.map((record) => record.ref));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toHaveLength(60);
    expect(new Set(seen).size).toBe(60);
  });

  describe('with the tokens that a phone shows', () => {
    it('counts them as they are, and raises no alarm, while the book may have forgotten some', async () => {
      const [kept, forgotten] = [anOrderOf(1), anOrderOf(2)];
      await promises.promise([kept]);
      const forgetful = { ...promises, book: { ...promises.book, isWhole: async () => false } };
      money = await open({
        promises: () => forgetful,
        repromise: async () => refuse('slice-fenced', 'its slice is closed by now'),
      });
      expect(await overview()).toMatchObject({ balanceFen: 101n, complete: false });
      // While the book is away two gateways seal one order apart: other bytes, and one packet.
      const tokens = [kept, forgotten, forgotten].map((order) => money.tokenOf(order));
      expect(new Set(tokens).size).toBe(3);
      expect(await overview(tokens)).toMatchObject({ balanceFen: 203n, complete: false, refusedTokens: [] });
      expect(money.unrecorded.count).toBe(0);
      // What is shown can be taken (I3).
      const held = await money.withdrawals.request(playerOf(person), testCampaign, {
        amountFen: 203n as Fen,
        idempotencyKey: `forgetful-${person}`,
        tokens,
      });
      expect(isRefusal(held)).toBe(false);
    });

    it.each([
      ['that the server knows', false],
      ['while the book has forgotten them', true],
    ])('takes those of an alias, %s, from the person and from nobody else', async (_, isForgotten) => {
      const alias = playerOf(9_000 + person).actId;
      const orders = [anOrderOf(1), { ...anOrderOf(2), actId: alias }].map((order) => ({
        ...order,
        orderNumber: formatOrderNumber({ ...order, stage: order.phaseId }),
      }));
      const tokens = orders.map((order) => money.tokenOf(order));
      const stranger = await overview(tokens);
      expect(stranger.refusedTokens).toEqual([{ index: 1, code: 'token-foreign' }]);
      if (isForgotten) {
        const forgetful = { ...promises, book: { ...promises.book, isWhole: async () => false } };
        money = await open({
          promises: () => forgetful,
          repromise: async () => refuse('slice-fenced', 'its slice is closed by now'),
        });
      }
      const joined = { ...playerOf(person), aliases: [alias] };
      const shown = await money.wallet.overview(joined, testCampaign, tokens);
      expect(shown).toMatchObject({ balanceFen: 203n, refusedTokens: [], complete: !isForgotten });
      // All of it can be taken at once, though the packets lie in two accounts, and one of them on the phone alone.
      const ask = { amountFen: 203n as Fen, idempotencyKey: `joined-${person}`, tokens };
      const held = await money.withdrawals.request(joined, testCampaign, ask);
      expect(isRefusal(held) ? held.detail : held.amountFen).toBe(203n);
      expect(await money.withdrawals.request(joined, testCampaign, ask)).toEqual(held);
      expect(await ledgerFaults(rig.pool)).toEqual([]);
    });

    it('counts in what the server has no record of, once, and raises the alarm', async () => {
      const order = anOrderOf(1);
      const token = money.tokenOf(order);
      const shown = await overview([token, token]);
      expect([shown.balanceFen, shown.refusedTokens, money.unrecorded.count]).toEqual([101n, [], 1]);
      await overview([token]);
      expect([money.unrecorded.count, promises.log.end()]).toEqual([1, 1]);
      const crediting = creditor();
      crediting.start();
      await promises.drainedTo(1);
      await crediting.stop();
      expect(await overview([token])).toMatchObject({ balanceFen: 101n, creditedFen: 101n });
    });

    it('ignores what the server has, credited or not', async () => {
      const order = anOrderOf(1);
      await promises.promise([order]);
      expect((await overview([money.tokenOf(order)])).balanceFen).toBe(101n);
      await rig.ledger.credit([order]);
      await promises.book.advance([order], 8);
      expect((await overview([money.tokenOf(order)])).balanceFen).toBe(101n);
      expect([money.unrecorded.count, promises.log.end()]).toEqual([0, 1]);
    });

    it('does not count twice what only the ledger still has', async () => {
      const order = anOrderOf(1);
      await rig.ledger.credit([order]);
      expect(await overview([money.tokenOf(order)])).toMatchObject({ balanceFen: 101n, outstandingFen: 0n });
    });

    it('refuses each bad one by itself, and counts the good ones', async () => {
      const good = money.tokenOf(anOrderOf(1));
      const stranger = money.tokenOf(anOrder({ person: 900_000, rain: 1 }));
      const gray = money.tokenOf(anOrderOf(2, { phase: 'gray', phaseKey: 2 }));
      const elsewhere = money.tokenOf({ ...anOrderOf(3), campaignId: 'other' as Order['campaignId'] });
      const bytes = Buffer.from(money.tokenOf(anOrderOf(4)), 'base64url');
      bytes[bytes.length - 1]! ^= 1;
      const shown = await overview([
        '',
        stranger,
        gray,
        elsewhere,
        bytes.toString('base64url'),
        `${good}=`,
        ` ${good}`,
        'A'.repeat(100_000),
        '红包',
        good,
      ]);
      expect(shown.refusedTokens).toEqual([
        { index: 0, code: 'token-malformed' },
        { index: 1, code: 'token-foreign' },
        { index: 2, code: 'token-wrong-phase' },
        { index: 3, code: 'token-wrong-campaign' },
        { index: 4, code: 'token-signature-invalid' },
        { index: 5, code: 'token-malformed' },
        { index: 6, code: 'token-malformed' },
        { index: 7, code: 'token-malformed' },
        { index: 8, code: 'token-malformed' },
      ]);
      expect([shown.balanceFen, promises.log.end()]).toEqual([101n, 1]);
    });

    it('refuses what can’t be promised any more, and still raises the alarm', async () => {
      money = await open({ repromise: async () => refuse('slice-fenced', 'closed') });
      const shown = await overview([money.tokenOf(anOrderOf(1))]);
      expect(shown.refusedTokens).toEqual([{ index: 0, code: 'slice-fenced' }]);
      expect([shown.balanceFen, money.unrecorded.count]).toEqual([0n, 1]);
    });
  });

  describe('over HTTP', () => {
    it('answers in JSON, amounts in fen as numbers', async () => {
      await rig.ledger.credit([anOrderOf(1)]);
      const order = anOrderOf(2);
      await promises.promise([order]);
      const got = await money.ask(person, { url });
      expect([got.statusCode, got.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
      expect(got.json()).toMatchObject({
        balanceFen: 203,
        creditedFen: 101,
        outstandingFen: 102,
        heldFen: 0,
        totalIncomeFen: 203,
        refusedTokens: [],
        records: [
          {
            kind: 'credit',
            ref: order.orderNumber,
            atMs: order.drawnAtMs,
            amountFen: 102,
            status: 'outstanding',
            bill: { zh: '红包雨', en: 'Packet rain' },
            sceneId: 'cash',
            rainId: 2,
          },
          { status: 'credited' },
        ],
      });
      const posted = await money.ask(person, { method: 'POST', url, payload: { tokens: ['x'] } });
      expect(posted.json()).toEqual({
        ...got.json(),
        refusedTokens: [{ index: 0, code: 'token-malformed' }],
      });
    });

    it('turns pages by its cursor', async () => {
      await promises.promise(Array.from({ length: 45 }, (_, at) => anOrderOf(at + 1)));
      const first = (await money.ask(person, { url })).json();
      const records = [...first.records];
      let cursor = first.nextCursor;
      while (cursor !== undefined) {
        const page = (
          await money.ask(person, { url: `${url}/records`, query: { cursor, limit: '13' } })
        ).json();
        records.push(...page.records);
        cursor = page.nextCursor;
      }
      expect(records.map((record) => record.rainId)).toEqual(Array.from({ length: 45 }, (_, at) => 45 - at));
    });

    it.each(['0', '101', '-1', '1e1', '1.5', '', 'abc', '１０', '010', '9'.repeat(400)])(
      'takes no limit of %j',
      async (limit) => {
        const answer = await money.ask(person, { url: `${url}/records`, query: { limit } });
        expect([answer.statusCode, answer.json().code]).toEqual([400, 'malformed']);
      },
    );

    it.each(['', 'x', '../..', 'e30', '%00', "1|a' OR 1=1", 'A'.repeat(5_000)])(
      'takes no cursor of %j',
      async (cursor) => {
        const answer = await money.ask(person, { url: `${url}/records`, query: { cursor } });
        expect([answer.statusCode, answer.json().code]).toEqual([400, 'cursor-invalid']);
      },
    );

    it.each<[string, number, string]>([
      ['', 400, 'malformed'],
      ['null', 400, 'malformed'],
      ['[]', 400, 'malformed'],
      ['{}', 400, 'malformed'],
      ['{"tokens":null}', 400, 'malformed'],
      ['{"tokens":"a"}', 400, 'malformed'],
      ['{"tokens":[1]}', 400, 'malformed'],
      ['{"tokens":[null]}', 400, 'malformed'],
      ['{"tokens":[["a"]]}', 400, 'malformed'],
      ['{"tokens":[],"more":1}', 400, 'malformed'],
      ['{"tokens":', 400, 'malformed'],
      [`{"tokens":[${Array.from({ length: 201 }, () => '"a"').join()}]}`, 400, 'too-many-tokens'],
      [`{"tokens":["${'a'.repeat(400_000)}"]}`, 413, 'too-large'],
    ])('refuses the body %.40s', async (payload, status, code) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await money.ask(person, { method: 'POST', url, payload, headers });
      expect([answer.statusCode, answer.json().code]).toEqual([status, code]);
      expect(answer.headers['content-type']).toContain('application/problem+json');
    });

    it('takes as many and as long tokens as it says', async () => {
      const tokens = Array.from({ length: 200 }, () => 'A'.repeat(1_366));
      const answer = await money.ask(person, { method: 'POST', url, payload: { tokens } });
      expect([answer.statusCode, answer.json().refusedTokens.length]).toEqual([200, 200]);
    });

    it.each([
      ['GET', url],
      ['POST', url],
      ['GET', `${url}/records`],
    ] as const)(
      '%s %s shows nothing without a session, and none of another campaign',
      async (method, path) => {
        const payload = method === 'POST' ? { payload: { tokens: [] } } : {};
        const nobody = await money.ask(undefined, { method, url: path, ...payload });
        expect([nobody.statusCode, nobody.json().code]).toEqual([401, 'session-missing']);
        const other = await money.ask(person, { method, url: path.replace('gala', 'other'), ...payload });
        expect([other.statusCode, other.json().code]).toEqual([404, 'campaign-unknown']);
      },
    );
  });
});
