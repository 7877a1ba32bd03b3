import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account, Ledger, RecordCursor, WithdrawalRequest } from '../../src/engines/ports.ts';
import { isRefusal } from '../../src/protocol/failures.ts';
import { NOTHING_GIVEN, plus } from '../../src/rules/hot-total.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, PhaseKey, WithdrawalId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import {
  cutConnections,
  type LedgerEngine,
  ledgerEngines,
  untilAnswered,
} from '../support/ledger-engines.ts';
import { anOrder, seeded, shuffled, testSeed } from '../support/orders.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { booksOf } from '../support/shards.ts';

const accountOf = (person: number, phaseKey = 3): Account => ({
  actId: BigInt(1_000_000 + person) as ActId,
  phaseKey: phaseKey as PhaseKey,
});
let made = 0;
const withdrawalId = () => {
  made += 1;
  return `00000000-0000-7000-8000-${String(made).padStart(12, '0')}` as WithdrawalId;
};
const request = (
  person: number,
  fen: number,
  force: readonly Order[] = [],
  key = `key-${made}`,
): WithdrawalRequest => ({
  id: withdrawalId(),
  account: accountOf(person),
  amountFen: BigInt(fen) as Fen,
  idempotencyKey: key,
  payloadHash: createHash('sha256').update(String(fen)).digest(),
  requestedAtMs: instantMs(1_800_000_100_000),
  force,
});

describe.each(ledgerEngines())('the ledger on $name', ({ kind, start }) => {
  let server: TestPostgres;
  let engine: LedgerEngine;
  let ledger: Ledger;

  beforeAll(async () => {
    server = await startTestPostgres(kind);
    engine = await start(server);
    ledger = engine.ledger;
  });
  afterAll(async () => {
    await engine.stop();
    await server.stop();
  });

  const wallet = async (person: number) => (await ledger.wallet(accountOf(person), [])).balanceFen;
  const assertBalanced = async () => {
    for (const pool of engine.pools) expect(await booksOf(pool)).toEqual({ total: 0n, wrong: [] });
  };

  it('credits what never went through the log, until its slice is fenced', async () => {
    const [first, second] = [anOrder({ person: 8_801, slice: 880 }), anOrder({ person: 8_802, slice: 880 })];
    const other = anOrder({ person: 8_803, slice: 881 });
    expect(await ledger.creditUnlogged([first])).toEqual({
      credited: 1,
      alreadyCredited: 0,
      conflicting: [],
      fenced: [],
    });
    await ledger.fence({ sliceId: first.unit.sliceId, epoch: 1 });
    await ledger.fence({ sliceId: first.unit.sliceId, epoch: 1 });
    const receipt = await ledger.creditUnlogged([first, second, other]);
    // The first was credited in time: whoever asks again, because the answer was lost, must learn that.
    expect(receipt).toEqual({
      credited: 1,
      alreadyCredited: 1,
      conflicting: [],
      fenced: [second.orderNumber],
    });
    expect([await wallet(8_801), await wallet(8_802), await wallet(8_803)]).toEqual([100n, 0n, 100n]);
    await assertBalanced();
  });

  it('forces nothing into a slice that was counted without it, and what stands there already is no trouble', async () => {
    const [before, behind] = [
      anOrder({ person: 8_811, slice: 885 }),
      anOrder({ person: 8_811, slice: 885, rain: 2 }),
    ];
    await ledger.credit([before]);
    await ledger.fence({ sliceId: before.unit.sliceId, epoch: 1 });
    const tally = await ledger.sliceTally(before.phaseKey, before.unit.sliceId);
    expect(await ledger.hold(request(8_811, 150, [before, behind]))).toMatchObject({
      refused: 'insufficient-balance',
    });
    const held = await ledger.hold(request(8_811, 100, [before, behind]));
    expect(isRefusal(held)).toBe(false);
    expect(await ledger.sliceTally(before.phaseKey, before.unit.sliceId)).toEqual(tally);
    await assertBalanced();
  });

  it('has in its tally what was credited without the log before the fence, and nothing comes after', async () => {
    const random = seeded(testSeed('the fence and credits without the log'));
    for (let slice = 890; slice < 900; slice += 1) {
      const orders = Array.from({ length: 20 }, (_, at) => anOrder({ person: slice * 100 + at, slice }));
      const unit = { sliceId: orders[0]!.unit.sliceId, epoch: 1 };
      const at = Math.floor(random() * orders.length);
      let tally = { packets: -1, fen: 0n };
      await Promise.all(
        orders.map(async (order, index) => {
          if (index === at) {
            await ledger.fence(unit);
            tally = await ledger.sliceTally(order.phaseKey, unit.sliceId);
          } else await ledger.creditUnlogged([order]);
        }),
      );
      expect(await ledger.sliceTally(orders[0]!.phaseKey, unit.sliceId)).toEqual(tally);
    }
  });

  it('credits an order once, however often it comes, and in the same batch too', async () => {
    const order = anOrder({ person: 1, fen: 888 });
    expect(await ledger.credit([order, order])).toEqual({ credited: 1, alreadyCredited: 1, conflicting: [] });
    expect(await ledger.credit([order])).toEqual({ credited: 0, alreadyCredited: 1, conflicting: [] });
    expect(await ledger.credit([])).toEqual({ credited: 0, alreadyCredited: 0, conflicting: [] });
    expect(await wallet(1)).toBe(888n);
    await assertBalanced();
  });

  it('credits one number in two phases twice, in one batch too: campaigns may share the names of phases and scenes', async () => {
    const here = anOrder({ person: 7001, fen: 100, slice: 7001 });
    const there = anOrder({ person: 7001, fen: 30, slice: 7002, phaseKey: 4 });
    expect(there.orderNumber).toBe(here.orderNumber);
    const receipt = { credited: 2, alreadyCredited: 0, conflicting: [] };
    expect(await ledger.credit([here, there])).toEqual(receipt);
    expect(await ledger.credit([there, here])).toEqual({ ...receipt, credited: 0, alreadyCredited: 2 });
    const forged = { ...there, amountFen: 31n as Fen };
    expect(await ledger.credit([here, forged])).toMatchObject({ conflicting: [there.orderNumber] });
    expect(await wallet(7001)).toBe(100n);
    expect((await ledger.wallet(accountOf(7001, 4), [])).balanceFen).toBe(30n);
    // One of them stands, the other one's slice is closed: that says nothing of the other.
    const late = anOrder({ person: 7002, slice: 7003, phaseKey: 4 });
    await ledger.credit([anOrder({ person: 7002, slice: 7004 })]);
    await ledger.fence(late.unit);
    await ledger.fence({ sliceId: anOrder({ person: 1, slice: 7004 }).unit.sliceId, epoch: 1 });
    const both = [anOrder({ person: 7002, slice: 7004 }), late];
    expect(await ledger.creditUnlogged(both)).toEqual({
      ...{ credited: 0, alreadyCredited: 1, conflicting: [] },
      fenced: [late.orderNumber],
    });
    await assertBalanced();
  });

  it('says of a key whose withdrawal is being held right now that it is, not that there is none', async () => {
    await ledger.credit([anOrder({ person: 7003, fen: 100 })]);
    const ask = request(7003, 60, [], 'key-in-flight');
    // A hold that is under way has the key's lock, and nothing of it can be seen yet.
    const holding = await Promise.all(engine.pools.map((pool) => pool.connect()));
    for (const client of holding) {
      await client.query('BEGIN');
      await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, $2::bigint))', [
        ask.idempotencyKey,
        ask.account.actId,
      ]);
    }
    const inFlight = { refused: 'idempotency-in-flight' };
    expect(await ledger.replayOf(ask.account, ask)).toMatchObject(inFlight);
    expect(await ledger.hold(ask)).toMatchObject(inFlight);
    for (const client of holding) {
      await client.query('ROLLBACK');
      client.release();
    }
    expect(await ledger.replayOf(ask.account, ask)).toBeUndefined();
    expect(await ledger.hold(ask)).toMatchObject({ replayed: false });
    expect(await ledger.replayOf(ask.account, ask)).toMatchObject({ id: ask.id });
  });

  it('moves nothing for an order number that comes with other content', async () => {
    const order = anOrder({ person: 2, fen: 100 });
    const forged = anOrder({ person: 2, fen: 101 });
    expect((await ledger.credit([order, forged])).conflicting).toEqual([order.orderNumber]);
    expect((await ledger.credit([forged, anOrder({ person: 3 })])).conflicting).toEqual([order.orderNumber]);
    expect(await wallet(2)).toBe(100n);
  });

  it('tells of many orders at once which are credited, money and pieces, by person and phase', async () => {
    const money = [201, 202, 203].map((person) => anOrder({ person }));
    const piece = anOrder({ person: 202, scene: 'tea', award: 'drinks-coupon' });
    await ledger.credit([money[0]!, money[2]!, piece]);
    const names = [...money, piece, money[0]!].map(({ actId, phaseKey, orderNumber }) => ({
      actId,
      phaseKey,
      orderNumber,
    }));
    // The number alone is not the order: the same in another phase, or asked of another person, is none.
    const strange = [
      { ...names[0]!, phaseKey: 99 as PhaseKey },
      { ...names[0]!, actId: names[1]!.actId },
    ];
    expect(await ledger.areCredited([...names, ...strange])).toEqual([
      ...[true, false, true, true, true],
      ...[false, false],
    ]);
    expect(await ledger.areCredited([])).toEqual([]);
  });

  it('lists all orders that are credited to each of many accounts, money and pieces, and nothing that only moves money', async () => {
    const money = [
      anOrder({ person: 211, rain: 2, fen: 250, slice: 61, index: 7, atMs: 1_800_000_000_002 }),
      anOrder({ person: 211, rain: 1, fen: 100, slice: 62, index: 8, atMs: 1_800_000_000_003 }),
    ];
    const piece = anOrder({
      person: 211,
      scene: 'tea',
      award: 'drinks-coupon',
      fen: 900,
      atMs: 1_800_000_000_001,
    });
    const forced = anOrder({ person: 211, rain: 3, fen: 5, atMs: 1_800_000_000_004 });
    const elsewhere = anOrder({ person: 211, fen: 40, phase: 'gray', phaseKey: 2 });
    const others = [213, 214, 215].map((person) => anOrder({ person, fen: person }));
    const listed = (...orders: readonly Order[]) =>
      orders.map(({ orderNumber, amountFen, drawnAtMs, unit }) => ({
        orderNumber,
        amountFen,
        drawnAtMs,
        unit,
      }));
    await ledger.credit([...money, piece, elsewhere, ...others.slice(1)]);
    await ledger.creditUnlogged(others.slice(0, 1));
    // Two withdrawals, of which one comes back, and transfers there and away: none of that is a credit, or takes one.
    const [paid, returned] = [request(211, 60, [forced]), request(211, 30)];
    for (const [asked, end] of [
      [paid, 'paid'],
      [returned, 'returned'],
    ] as const) {
      await ledger.hold(asked);
      await ledger.markPaying(asked.id, asked.account);
      await ledger.settle(asked.id, asked.account, end, instantMs(1_800_000_200_000));
    }
    await ledger.moveBalance(accountOf(213), accountOf(211).actId, instantMs(1_800_000_300_000));
    await ledger.moveBalance(accountOf(211), accountOf(214).actId, instantMs(1_800_000_300_001));
    expect([await wallet(211), await wallet(213), await wallet(214)]).toEqual([0n, 0n, 722n]);

    const asked = [214, 212, 211, 213, 211].map((person) => accountOf(person));
    const own = listed(piece, ...money, forced);
    expect(await ledger.creditedOrdersOf([...asked, accountOf(211, 2), accountOf(211, 99)])).toEqual([
      listed(others[1]!),
      [],
      own,
      listed(others[0]!),
      own,
      listed(elsewhere),
      [],
    ]);
    expect(await ledger.creditedOrdersOf([])).toEqual([]);
  });

  it('tells balance, held, income and which orders are credited', async () => {
    const orders = [anOrder({ person: 4, scene: 'a' }), anOrder({ person: 4, scene: 'b' })];
    await ledger.credit([orders[0]!]);
    await ledger.hold(request(4, 30));
    const seen = await ledger.wallet(
      accountOf(4),
      orders.map((order) => order.orderNumber),
    );
    expect(seen).toEqual({
      balanceFen: 70n,
      heldFen: 30n,
      incomeFen: 100n,
      movedFen: 0n,
      credited: new Set([orders[0]!.orderNumber]),
    });
  });

  it('keeps phases apart', async () => {
    await ledger.credit([anOrder({ person: 5, phase: 'gray', phaseKey: 2 })]);
    expect(await wallet(5)).toBe(0n);
    expect((await ledger.wallet(accountOf(5, 2), [])).balanceFen).toBe(100n);
  });

  it('holds what is outstanding too, and moves nothing at all when it is not enough', async () => {
    const orders = [anOrder({ person: 6, scene: 'a', fen: 60 }), anOrder({ person: 6, scene: 'b', fen: 60 })];
    const refused = await ledger.hold(request(6, 121, orders));
    expect(isRefusal(refused) && refused.refused).toBe('insufficient-balance');
    expect(
      (
        await ledger.wallet(
          accountOf(6),
          orders.map((order) => order.orderNumber),
        )
      ).credited.size,
    ).toBe(0);
    const held = await ledger.hold(request(6, 120, orders));
    expect(!isRefusal(held) && held.withdrawal.state).toBe('held');
    expect(await wallet(6)).toBe(0n);
    await assertBalanced();
  });

  it('answers an idempotency key once: replay, reuse, in flight', async () => {
    await ledger.credit([anOrder({ person: 7, fen: 500 })]);
    const first = request(7, 100, [], 'k');
    const answers = await Promise.all([ledger.hold(first), ledger.hold({ ...first, id: withdrawalId() })]);
    const again = await ledger.hold({ ...first, id: withdrawalId() });
    expect(!isRefusal(again) && [again.replayed, again.withdrawal.amountFen]).toEqual([true, 100n]);
    for (const answer of answers) {
      if (isRefusal(answer)) expect(answer.refused).toBe('idempotency-in-flight');
      else expect(answer.withdrawal.id).toBe(!isRefusal(again) && again.withdrawal.id);
    }
    const reused = await ledger.hold({ ...first, payloadHash: randomBytes(32) });
    expect(isRefusal(reused) && reused.refused).toBe('idempotency-key-reused');
    expect(await wallet(7)).toBe(400n);
  });

  it('settles a withdrawal once, one way only', async () => {
    await ledger.credit([anOrder({ person: 8, fen: 500 })]);
    const asked = request(8, 200);
    await ledger.hold(asked);
    expect(await ledger.markPaying(asked.id, asked.account)).toBe(true);
    const at = instantMs(1_800_000_200_000);
    const settled = await Promise.all(
      [1, 2, 3].map(() => ledger.settle(asked.id, asked.account, 'paid', at)),
    );
    expect(settled.map((one) => one.state)).toEqual(['paid', 'paid', 'paid']);
    await expect(ledger.settle(asked.id, asked.account, 'returned', at)).rejects.toThrow('I1 is broken');
    expect(await ledger.wallet(accountOf(8), [])).toMatchObject({ balanceFen: 300n, heldFen: 0n });

    const other = request(8, 300);
    await ledger.hold(other);
    await ledger.markPaying(other.id, other.account);
    expect((await ledger.unsettled(10)).map((one) => one.id)).toContain(other.id);
    await ledger.settle(other.id, other.account, 'returned', at);
    expect(await wallet(8)).toBe(300n);
    expect(await ledger.markPaying(other.id, other.account)).toBe(false);
    await assertBalanced();
  });

  it('pages through records without repeating or skipping, also when times are equal', async () => {
    const orders = Array.from({ length: 23 }, (_, at) =>
      anOrder({ person: 9, rain: at + 1, atMs: 1_800_000_000_000 + Math.floor(at / 7) }),
    );
    await ledger.credit(orders);
    await ledger.hold(request(9, 5));
    const seen: string[] = [];
    let cursor: RecordCursor | undefined;
    for (;;) {
      const page = await ledger.records(accountOf(9), cursor, 5);
      seen.push(...page.map((line) => line.ref));
      if (page.length < 5) break;
      cursor = { atMs: page.at(-1)!.atMs, ref: page.at(-1)!.ref };
    }
    expect(new Set(seen).size).toBe(24);
    expect(seen).toHaveLength(24);
  });

  it('counts what a slice gave', async () => {
    await ledger.credit([
      anOrder({ person: 20, slice: 77, fen: 5 }),
      anOrder({ person: 21, slice: 77, fen: 6 }),
    ]);
    await ledger.credit([
      anOrder({ person: 21, slice: 77, fen: 6 }),
      anOrder({ person: 22, slice: 77, fen: 7 }),
    ]);
    expect(await ledger.sliceTally(3 as PhaseKey, 77n as never)).toEqual({ packets: 3, fen: 18n });
  });

  it('says what it has credited in a phase, money and pieces apart, repeats once, however they were credited', async () => {
    const phaseKey = 31 as PhaseKey;
    const order = (person: number, more: Partial<Parameters<typeof anOrder>[0]> = {}) =>
      anOrder({ person, phase: 'sums', phaseKey: 31, fen: 40, slice: 9_900, ...more });
    const given = async () =>
      (await ledger.creditedSums())
        .filter((one) => one.phaseKey === phaseKey)
        .map((one) => one.credited)
        .reduce(plus, NOTHING_GIVEN);
    expect(await given()).toEqual(NOTHING_GIVEN);
    const fresh = [order(1), order(2), order(3, { award: 'cinema-ticket', fen: 4_000 })];
    await ledger.credit(fresh);
    await ledger.credit([...fresh, order(4)]);
    await ledger.creditUnlogged([order(5), order(5), order(6, { award: 'greeting', fen: 0 })]);
    const account = { actId: order(7).actId, phaseKey };
    await ledger.hold({ ...request(7, 40, [order(7)]), account });
    expect(await given()).toEqual({ fen: 200n, packets: 7 });
    // Money that moves, or leaves, was credited all the same.
    await ledger.moveBalance({ actId: order(1).actId, phaseKey }, order(2).actId, instantMs(1_000));
    expect(await given()).toEqual({ fen: 200n, packets: 7 });
  });

  it('stays exact when creditors overlap, people withdraw and connections are cut', async () => {
    const random = seeded(testSeed('ledger under fire'));
    const orders = Array.from({ length: 600 }, (_, at) =>
      anOrder({
        person: 1000 + (at % 60),
        rain: at + 1,
        fen: 1 + (at % 9),
        slice: 500 + (at % 4),
        index: at,
      }),
    );
    const total = orders.reduce((sum, order) => sum + order.amountFen, 0n);
    const creditor = async () => {
      const mine = shuffled(orders, random);
      for (let at = 0; at < mine.length; at += 50)
        await untilAnswered(() => ledger.credit(mine.slice(at, at + 50)));
    };
    const person = async (who: number) => {
      const own = orders.filter((order) => order.actId === accountOf(who).actId);
      const asked = request(who, 3, own, `fire-${who}`);
      await untilAnswered(() => ledger.hold(asked));
    };
    const cutting = new AbortController();
    const cut = cutConnections(engine, { everyMs: 15, random, signal: cutting.signal });
    const people = Array.from({ length: 60 }, (_, at) => person(1000 + at));
    await Promise.all([creditor(), creditor(), creditor(), creditor(), ...people]);
    cutting.abort();
    await cut;
    const sums = await Promise.all(
      engine.pools.map((pool) =>
        pool.query<{ people: bigint; income: bigint }>(
          `SELECT coalesce(sum(balance_fen), 0)::bigint AS people, coalesce(sum(income_fen), 0)::bigint AS income
           FROM ledger.account WHERE act_id >= $1 AND act_id < $2`,
          [1_001_000n, 1_001_060n],
        ),
      ),
    );
    expect(sums.reduce((sum, { rows }) => sum + rows[0]!.people, 0n)).toBe(total);
    expect(sums.reduce((sum, { rows }) => sum + rows[0]!.income, 0n)).toBe(total);
    await assertBalanced();
  });
});
