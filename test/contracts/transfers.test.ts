import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account } from '../../src/engines/ports.ts';
import type { MoverOptions } from '../../src/ledger/moves/move-bucket.ts';
import { moveBucket } from '../../src/ledger/moves/move-bucket.ts';
import { moveBalance, type TransferSteps } from '../../src/ledger/transfers.ts';
import { isRefusal } from '../../src/protocol/failures.ts';
import { bucketOf } from '../../src/vocabulary/bucket.ts';
import { type Fen, sumFen } from '../../src/vocabulary/fen.ts';
import type { ActId, PhaseKey, WithdrawalId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { type LedgerEngine, ledgerEngines } from '../support/ledger-engines.ts';
import { anOrder, seeded, testSeed } from '../support/orders.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { booksOf, shardRetry, startShards } from '../support/shards.ts';

const NOW = instantMs(1_800_000_000_000);
const PHASE = 3 as PhaseKey;
const idOf = (person: number): ActId => BigInt(1_000_000 + person) as ActId;
const accountOf = (person: number): Account => ({ actId: idOf(person), phaseKey: PHASE });
const fenOf = (amount: number): Fen => BigInt(amount) as Fen;

class Crash extends Error {}

/** Steps of which one ends with a crash, before or after it was done. */
function crashing(steps: TransferSteps, step: keyof TransferSteps, when: 'before' | 'after'): TransferSteps {
  const act = async <Result>(name: string, done: () => Promise<Result>): Promise<Result> => {
    if (name !== step) return done();
    if (when === 'after') await done();
    throw new Crash(`${when} ${step}`);
  };
  return {
    sendAll: (from, to, atMs) => act('sendAll', () => steps.sendAll(from, to, atMs)),
    receive: (transfer) => act('receive', () => steps.receive(transfer)),
    arrived: (transfer) => act('arrived', () => steps.arrived(transfer)),
  };
}

describe.each(ledgerEngines())('transfers between a person’s ids on $name', ({ kind, start }) => {
  let server: TestPostgres;
  let engine: LedgerEngine;
  let ledger: LedgerEngine['ledger'];
  let withdrawals = 0;

  beforeAll(async () => {
    server = await startTestPostgres(kind);
    engine = await start(server);
    ledger = engine.ledger;
  });
  afterAll(async () => {
    await engine.stop();
    await server.stop();
  });

  const balanced = async () => {
    for (const pool of engine.pools) expect(await booksOf(pool)).toEqual({ total: 0n, wrong: [] });
  };
  const view = (person: number) => ledger.wallet(accountOf(person), []);
  const balance = async (person: number) => (await view(person)).balanceFen;
  /** What nothing but the person's own acts changes. */
  const worth = async (...persons: number[]) =>
    sumFen((await Promise.all(persons.map(view))).map((one) => (one.balanceFen - one.movedFen) as Fen));
  const credit = (person: number, fen: number, rain = 1) =>
    ledger.credit([anOrder({ person, fen, rain, slice: 5_000 + person, index: rain })]);
  const betweenPeople = async () => {
    const sums = await Promise.all(
      engine.pools.map((pool) =>
        pool.query<{ sum: bigint }>(
          'SELECT coalesce(sum(amount_fen), 0)::bigint AS sum FROM ledger.posting WHERE purse = 7',
        ),
      ),
    );
    return sums.reduce((total, { rows }) => total + rows[0]!.sum, 0n);
  };
  const holdAll = (person: number, amountFen: Fen) => {
    withdrawals += 1;
    return ledger.hold({
      id: `0198c0de-0000-7000-8000-${withdrawals.toString().padStart(12, '0')}` as WithdrawalId,
      account: accountOf(person),
      amountFen,
      idempotencyKey: `k${withdrawals}`,
      payloadHash: Buffer.alloc(32, withdrawals % 250),
      requestedAtMs: NOW,
      force: [],
    });
  };

  it('move all there is, keep the income where it was earned, and nothing when there is nothing', async () => {
    await credit(2, 700);
    await credit(2, 50, 2);
    await credit(1, 9);
    expect(await ledger.fundedAmong([idOf(1), idOf(2), idOf(3)])).toEqual(
      expect.arrayContaining([accountOf(1), accountOf(2)]),
    );
    expect(await ledger.moveBalance(accountOf(2), idOf(1), NOW)).toBe(750n);
    expect(await view(2)).toMatchObject({ balanceFen: 0n, incomeFen: 750n, movedFen: -750n });
    expect(await view(1)).toMatchObject({ balanceFen: 759n, incomeFen: 9n, movedFen: 750n });
    expect(await ledger.moveBalance(accountOf(2), idOf(1), NOW)).toBe(0n);
    expect(await ledger.moveBalance(accountOf(3), idOf(1), NOW)).toBe(0n);
    expect(await ledger.fundedAmong([idOf(2), idOf(3)])).toEqual([]);
    expect(await worth(1, 2)).toBe(759n);
    expect(await betweenPeople()).toBe(0n);
    // Transfers are no lines of the wallet: each credit stands where it was earned.
    expect((await ledger.records(accountOf(1), undefined, 10)).map((line) => line.amountFen)).toEqual([9n]);
    await balanced();
  });

  it('carry what comes later, as often as it comes', async () => {
    for (let rain = 1; rain <= 5; rain += 1) {
      await credit(12, rain, rain);
      expect(await ledger.moveBalance(accountOf(12), idOf(11), NOW)).toBe(BigInt(rain));
    }
    expect(await view(11)).toMatchObject({ balanceFen: 15n, movedFen: 15n });
    await balanced();
  });

  it.each(
    (['sendAll', 'receive', 'arrived'] as const).flatMap((step) =>
      (['before', 'after'] as const).map((when) => [when, step] as const),
    ),
  )('that crash %s %s are finished by whoever comes next, once', async (when, step) => {
    const from =
      22 + 20 * (['sendAll', 'receive', 'arrived'] as const).indexOf(step) + (when === 'after' ? 10 : 0);
    const to = from - 1;
    await credit(from, 300);
    const broken = moveBalance(crashing(ledger, step, when), accountOf(from), idOf(to), NOW);
    await expect(broken).rejects.toThrow(Crash);
    expect(await worth(to, from)).toBe(300n);
    await balanced();
    await credit(from, 4, 2);
    await Promise.all([1, 2, 3].map(() => ledger.moveBalance(accountOf(from), idOf(to), NOW)));
    expect(await balance(from)).toBe(0n);
    expect(await balance(to)).toBe(304n);
    expect(await betweenPeople()).toBe(0n);
    await balanced();
  });

  it('that were on their way to somebody who became an alias meanwhile go there first, and on from there', async () => {
    await credit(103, 60);
    await expect(
      moveBalance(crashing(ledger, 'sendAll', 'after'), accountOf(103), idOf(102), NOW),
    ).rejects.toThrow(Crash);
    await ledger.moveBalance(accountOf(103), idOf(101), NOW);
    await ledger.moveBalance(accountOf(102), idOf(101), NOW);
    expect(await Promise.all([101, 102, 103].map(balance))).toEqual([60n, 0n, 0n]);
    expect(await worth(101, 102, 103)).toBe(60n);
    await balanced();
  });

  it('finds a withdrawal by its key without asking for one', async () => {
    await credit(110, 100);
    const held = await holdAll(110, fenOf(40));
    const payloadHash = Buffer.alloc(32, withdrawals % 250);
    const key = { idempotencyKey: `k${withdrawals}`, payloadHash };
    expect(!isRefusal(held) && held.withdrawal).toEqual(await ledger.replayOf(accountOf(110), key));
    expect(
      await ledger.replayOf(accountOf(110), { ...key, payloadHash: Buffer.alloc(32, 251) }),
    ).toMatchObject({
      refused: 'idempotency-key-reused',
    });
    expect(await ledger.replayOf(accountOf(110), { ...key, idempotencyKey: 'other' })).toBeUndefined();
  });

  it('never change what the ids are worth together, in any order with credits, withdrawals and crashes', async () => {
    const seed = testSeed('transfers');
    const random = seeded(seed);
    const below = (count: number) => Math.floor(random() * count);
    for (let round = 0; round < 8; round += 1) {
      const first = 1_000 + round * 10;
      const ids = [first, first + 1, first + 2];
      let owned = 0n;
      let rain = 0;
      const underWay: Promise<unknown>[] = [];
      for (let act = 0; act < 14; act += 1) {
        const who = ids[below(3)]!;
        const alias = ids[1 + below(2)]!;
        const to = alias === first + 2 ? ids[below(2)]! : first;
        switch (below(5)) {
          case 0:
          case 1: {
            rain += 1;
            const fen = 1 + below(500);
            await credit(who, fen, rain);
            owned += BigInt(fen);
            break;
          }
          case 2:
            underWay.push(ledger.moveBalance(accountOf(alias), idOf(to), NOW));
            break;
          case 3: {
            const step = (['sendAll', 'receive', 'arrived'] as const)[below(3)]!;
            const steps = crashing(ledger, step, random() < 0.5 ? 'before' : 'after');
            await moveBalance(steps, accountOf(alias), idOf(to), NOW).catch((error) => {
              if (!(error instanceof Crash)) throw error;
            });
            break;
          }
          case 4: {
            const held = await holdAll(who, fenOf(1 + below(300)));
            if (!isRefusal(held)) {
              const { id, account, amountFen } = held.withdrawal;
              await ledger.markPaying(id, account);
              const end = random() < 0.5 ? 'paid' : 'returned';
              await ledger.settle(id, account, end, NOW);
              if (end === 'paid') owned -= amountFen;
            }
            break;
          }
        }
        expect(await worth(...ids)).toBe(owned);
      }
      await Promise.all(underWay);
      await ledger.moveBalance(accountOf(first + 2), idOf(first), NOW);
      await ledger.moveBalance(accountOf(first + 1), idOf(first), NOW);
      expect(await Promise.all(ids.map(balance))).toEqual([owned, 0n, 0n]);
    }
    expect(await betweenPeople()).toBe(0n);
    await balanced();
  });
});

it('transfers go on while the buckets of both ends move between shards', async () => {
  const server = await startTestPostgres();
  const shards = await startShards([server], ['a', 'b'], 4);
  const ledger = await shards.open();
  const mover: MoverOptions = { map: shards.map, poolOf: shards.poolOf, retry: shardRetry, logger: quiet };
  const [to, from] = [4, 9];
  const steps = [...(['sendAll', 'receive', 'arrived'] as const)];
  try {
    for (const [at, step] of steps.entries()) {
      await ledger.credit([anOrder({ person: from, rain: at + 1, fen: 100, slice: 77, index: at })]);
      const broken = moveBalance(crashing(ledger, step, 'after'), accountOf(from), idOf(to), NOW);
      await expect(broken).rejects.toThrow(Crash);
      for (const person of [to, from]) {
        const bucket = bucketOf(idOf(person), shards.buckets);
        const plan = (await shards.map.read())!;
        const target = plan.placement.get(bucket) === 'a' ? 'b' : 'a';
        await moveBucket(mover, bucket, target);
      }
      await ledger.moveBalance(accountOf(from), idOf(to), NOW);
      expect((await ledger.wallet(accountOf(to), [])).balanceFen).toBe(BigInt(100 * (at + 1)));
      expect((await ledger.wallet(accountOf(from), [])).balanceFen).toBe(0n);
      for (const pool of shards.pools.values()) expect(await booksOf(pool)).toEqual({ total: 0n, wrong: [] });
    }
  } finally {
    await ledger.close();
    await shards.stop();
    await server.stop();
  }
});
