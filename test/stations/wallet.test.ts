import { describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/protocol/failures.ts';
import { decodeCursor } from '../../src/rules/merge-records.ts';
import type { RecordsPage } from '../../src/stations/7-wallet/wallet.ts';
import { newWithdrawalId } from '../../src/stations/8-withdraw/withdrawal-id.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import { GRAY_OPENS_MS, LIVE_CLOSES_MS, LIVE_OPENS_MS, playerOf, testCampaign } from '../support/campaign.ts';
import { moneyNight, NIGHT_MS } from '../support/money-night.ts';
import { anOrder, seeded, testSeed } from '../support/orders.ts';

describe('the wallet', () => {
  const night = moneyNight('wallet');
  const pageOf = async (cursor: string | undefined, limit: number): Promise<RecordsPage> => {
    const after = cursor === undefined ? undefined : decodeCursor(cursor);
    const page = await night.money.wallet.records(playerOf(night.person), testCampaign, after, limit);
    if (isRefusal(page)) throw new Error(page.detail);
    return page;
  };
  const allRecords = async (limit: number): Promise<RecordsPage['records'][number][]> => {
    const all: RecordsPage['records'][number][] = [];
    let cursor: string | undefined;
    do {
      const page = await pageOf(cursor, limit);
      all.push(...page.records);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return all;
  };
  const hold = (fen: number) =>
    night.rig.ledger.hold({
      id: newWithdrawalId(night.clock.now()),
      account: { actId: playerOf(night.person).actId, phaseKey: testCampaign.phases[1]!.key },
      amountFen: BigInt(fen) as Fen,
      idempotencyKey: `hold-${night.person}-${fen}`,
      payloadHash: Buffer.alloc(32),
      requestedAtMs: night.clock.now(),
      force: [],
    });

  it('of somebody who has nothing is empty', async () => {
    expect(await night.overview()).toEqual({
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
      night.orderOf(1, { award: 'drinks-coupon', fen: 1_000 }),
      night.orderOf(2, { award: 'cinema-ticket', fen: 0 }),
    ];
    await night.promises.promise([tea, film]);
    await night.rig.ledger.credit([tea]);
    const states = async () =>
      (await night.overview()).awards.map(({ awardType, state, worthFen }) => [awardType, state, worthFen]);
    expect(await states()).toEqual([
      ['cinema-ticket', 'granted', 0n],
      ['drinks-coupon', 'granted', 1_000n],
    ]);
    expect(await night.overview()).toMatchObject({ balanceFen: 0n, totalIncomeFen: 0n, records: [] });

    const use = (orderNumber: string, who = night.person) =>
      night.money.wallet.use(playerOf(who), testCampaign, orderNumber);
    expect(await use(film.orderNumber)).toMatchObject({ refused: 'award-unknown' });
    expect(await use(tea.orderNumber)).toMatchObject({ refused: 'award-not-ready' });
    const account = { actId: tea.actId, phaseKey: tea.phaseKey };
    await night.rig.ledger.markAsking(account, tea.orderNumber);
    await night.rig.ledger.settleAward(account, tea.orderNumber, { state: 'fulfilled', voucher: 'TEA-1' });
    expect(await use(tea.orderNumber, night.person + 1)).toMatchObject({ refused: 'award-unknown' });
    const used = await use(tea.orderNumber);
    expect(used).toMatchObject({ state: 'used', voucher: 'TEA-1', usedAtMs: NIGHT_MS });
    night.clock.set(NIGHT_MS + 60_000);
    expect(await use(tea.orderNumber)).toEqual(used);
    expect(await use('nonsense')).toMatchObject({ refused: 'award-unknown' });
    expect(await states()).toContainEqual(['drinks-coupon', 'used', 1_000n]);
  });

  it('shows credited, outstanding and held money, each with its lines', async () => {
    const [credited, outstanding] = [night.orderOf(1), night.orderOf(2)];
    await night.rig.ledger.credit([credited]);
    await night.promises.promise([outstanding]);
    await hold(40);
    const shown = await night.overview();
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
    const order = night.orderOf(1);
    await night.promises.promise([order]);
    await night.rig.ledger.credit([order]);
    const shown = await night.overview();
    expect([shown.balanceFen, shown.outstandingFen, shown.totalIncomeFen]).toEqual([101n, 0n, 101n]);
    expect(shown.records.map((record) => record.status)).toEqual(['credited']);
  });

  it('shows the phase of now, else the last that ended; before the first there is none', async () => {
    await night.promises.promise([night.orderOf(1), night.orderOf(2, { phase: 'gray', phaseKey: 2 })]);
    const shownAt = async (atMs: number) => {
      night.clock.set(atMs);
      const answer = await night.money.wallet.overview(playerOf(night.person), testCampaign, []);
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
    const crediting = night.creditor();
    crediting.start();
    const ROUNDS = 120;
    let promisedFen = 0n;
    let promisedCount = 0;
    let surelyPromised = 0n;
    let done = false;
    /** Others keep the creditor busy, so that batches end at any place. */
    const noise = async () => {
      for (let at = 0; !done; at += 1) {
        await night.promises.promise([anOrder({ person: 500_000 + night.tests * 10_000 + at, fen: 1 })]);
        if (random() < 0.2) crediting.setRate(random() < 0.5 ? 2_000 : undefined);
      }
    };
    const winner = async () => {
      for (let rain = 1; rain <= ROUNDS; rain += 1) {
        const order = night.orderOf(rain, { atMs: NIGHT_MS + Math.floor(random() * 40) });
        promisedFen += order.amountFen;
        promisedCount += 1;
        await night.promises.promise([order]);
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
        const shown = await night.overview();
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
    await night.promises.drainedTo(night.promises.log.end());
    await crediting.stop();
    const shown = await night.overview();
    expect([shown.balanceFen, shown.outstandingFen]).toEqual([promisedFen, 0n]);
    expect(await allRecords(7)).toHaveLength(ROUNDS);
    expect(looks).toBeGreaterThan(20);
  });

  it('turns pages without repeating or skipping while what stands on them turns from token to credit', async () => {
    const orders = Array.from({ length: 60 }, (_, at) =>
      night.orderOf(at + 1, { atMs: NIGHT_MS + (at % 5) }),
    );
    await night.promises.promise(orders);
    const random = seeded(testSeed('wallet pages'));
    const seen: string[] = [];
    let cursor: string | undefined;
    let credited = 0;
    do {
      const count = Math.floor(random() * 12);
      await night.rig.ledger.credit(orders.slice(credited, credited + count));
      if (random() < 0.5) await night.promises.book.advance(orders.slice(0, credited), 8);
      credited += count;
      const page = await pageOf(cursor, 1 + Math.floor(random() * 9));
      seen.push(...page.records.map((record) => record.ref));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toHaveLength(60);
    expect(new Set(seen).size).toBe(60);
  });
});
