import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account, Ledger, WithdrawalRequest } from '../../src/engines/ports.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { moveBucket, rebalance } from '../../src/ledger/index.ts';
import { isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import { bucketOf } from '../../src/vocabulary/bucket.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { PhaseKey, SliceId, WithdrawalId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import type { OrderNumber } from '../../src/vocabulary/order-number.ts';
import { anOrder, seeded, shuffled, testSeed } from '../support/orders.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { booksOf, shardRetry, startShards, type TestShards } from '../support/shards.ts';

const BUCKETS = 8;
const PEOPLE = 64;
const ROUNDS = 15;
const SLICES = 4;

/** What the traffic did, as its clients know it. */
interface Model {
  readonly orders: readonly Order[];
  readonly ofPerson: ReadonlyMap<number, readonly Order[]>;
  /** Withdrawals that were answered "held", and how they ended. */
  readonly withdrawals: Map<string, { person: number; fen: bigint; end: 'held' | 'paid' | 'returned' }>;
  /** What a wallet has shown: never less again (I3), whichever process is asked. */
  readonly seen: Map<number, ReadonlySet<OrderNumber>>;
  faults: number;
}

const accountOf = (order: Order): Account => ({ actId: order.actId, phaseKey: order.phaseKey });

function newModel(): Model {
  const ofPerson = new Map<number, Order[]>();
  for (let person = 1; person <= PEOPLE; person += 1)
    ofPerson.set(
      person,
      Array.from({ length: ROUNDS }, (_, round) =>
        anOrder({
          person,
          rain: round + 1,
          fen: 1 + ((person + round) % 9),
          slice: 1 + (round % SLICES),
          index: person * ROUNDS + round,
        }),
      ),
    );
  return {
    orders: [...ofPerson.values()].flat(),
    ofPerson,
    withdrawals: new Map(),
    seen: new Map(),
    faults: 0,
  };
}

/** As a process does: what fails in passing is asked again with the same keys. */
async function until<Result>(model: Model, act: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof RetryableFault)) throw error;
      model.faults += 1;
      await delay(5);
    }
  }
}

let made = 0;
async function withdraw(ledger: Ledger, model: Model, random: () => number): Promise<void> {
  const person = 1 + Math.floor(random() * PEOPLE);
  const own = model.ofPerson.get(person)!;
  made += 1;
  const fen = 1n + BigInt(Math.floor(random() * 4));
  const request: WithdrawalRequest = {
    id: `00000000-0000-7000-8000-${String(made).padStart(12, '0')}` as WithdrawalId,
    account: accountOf(own[0]!),
    amountFen: fen as Fen,
    idempotencyKey: `key-${made}`,
    payloadHash: createHash('sha256').update(String(fen)).digest(),
    requestedAtMs: instantMs(1_800_000_100_000 + made),
    force: own.slice(0, Math.floor(random() * 3)),
  };
  const held = await until(model, () => ledger.hold(request));
  if (isRefusal(held)) return;
  model.withdrawals.set(request.id, { person, fen, end: 'held' });
  const again = await until(model, () => ledger.hold(request));
  expect(!isRefusal(again) && [again.replayed, again.withdrawal.id]).toEqual([true, request.id]);
  if (random() < 0.3) return;
  const end = random() < 0.5 ? 'paid' : 'returned';
  await until(model, () => ledger.markPaying(request.id, request.account));
  await until(model, () => ledger.settle(request.id, request.account, end, instantMs(1_800_000_200_000)));
  model.withdrawals.get(request.id)!.end = end;
}

async function look(ledger: Ledger, model: Model, random: () => number): Promise<void> {
  const person = 1 + Math.floor(random() * PEOPLE);
  const own = model.ofPerson.get(person)!;
  const numbers = own.map((order) => order.orderNumber);
  const before = model.seen.get(person) ?? new Set();
  const wallet = await until(model, () => ledger.wallet(accountOf(own[0]!), numbers));
  for (const orderNumber of before) expect(wallet.credited).toContain(orderNumber);
  const credited = own.filter((order) => wallet.credited.has(order.orderNumber));
  expect(wallet.incomeFen).toBe(credited.reduce((sum, order) => sum + order.amountFen, 0n));
  const now = model.seen.get(person);
  if (!now || now.size < wallet.credited.size) model.seen.set(person, wallet.credited);
  const records = await until(model, () => ledger.records(accountOf(own[0]!), undefined, 1_000));
  expect(records.filter((line) => line.kind === 'credit').length).toBeGreaterThanOrEqual(credited.length);
}

async function traffic(
  ledger: Ledger,
  model: Model,
  random: () => number,
  going: () => boolean,
): Promise<void> {
  while (going()) {
    const dice = random();
    if (dice < 0.4) {
      // As a creditor's batch: of one bucket.
      const bucket = Math.floor(random() * BUCKETS);
      const batch = shuffled(model.orders, random)
        .filter((order) => bucketOf(order.actId, BUCKETS) === bucket)
        .slice(0, 8);
      if (dice < 0.1) await until(model, () => ledger.creditUnlogged(batch));
      else await until(model, () => ledger.credit(batch));
    } else if (dice < 0.6) await withdraw(ledger, model, random);
    else await look(ledger, model, random);
  }
}

/** After everything: zero on each shard, every order on exactly one and nowhere else, balances as the clients know. */
async function assertExact(shards: TestShards, ledger: Ledger, model: Model): Promise<void> {
  for (const pool of shards.pools.values()) expect(await booksOf(pool)).toEqual({ total: 0n, wrong: [] });
  const plan = (await shards.map.read())!;
  expect(plan.moves).toEqual([]);
  const found: string[] = [];
  let carried = 0n;
  for (const [name, pool] of shards.pools) {
    const credits = await pool.query<{ act_id: bigint; ref: string }>(
      'SELECT act_id, ref FROM ledger.posting WHERE act_id > 0 AND slice_id IS NOT NULL',
    );
    for (const row of credits.rows)
      expect(plan.placement.get(Number(row.act_id % BigInt(shards.buckets)))).toBe(name);
    found.push(...credits.rows.map((row) => row.ref));
    const sum = await pool.query<{ fen: bigint; notes: bigint }>(
      'SELECT coalesce(sum(amount_fen), 0)::bigint AS fen, (SELECT count(*) FROM ledger.touched) AS notes FROM ledger.posting WHERE purse = 5',
    );
    carried += sum.rows[0]!.fen;
    expect(sum.rows[0]!.notes).toBe(0n);
  }
  expect(carried).toBe(0n);
  expect(found.sort()).toEqual(model.orders.map((order) => order.orderNumber as string).sort());
  for (const [person, own] of model.ofPerson) {
    const mine = [...model.withdrawals.values()].filter((one) => one.person === person);
    const sum = (ends: readonly string[]) =>
      mine.filter((one) => ends.includes(one.end)).reduce((total, one) => total + one.fen, 0n);
    const income = own.reduce((total, order) => total + order.amountFen, 0n);
    expect(await ledger.wallet(accountOf(own[0]!), [])).toMatchObject({
      incomeFen: income,
      balanceFen: income - sum(['held', 'paid']),
      heldFen: sum(['held']),
    });
  }
  for (let slice = 1; slice <= SLICES; slice += 1) {
    const given = model.orders.filter((order) => order.unit.sliceId === BigInt(slice));
    expect(await ledger.sliceTally(3 as PhaseKey, BigInt(slice) as SliceId)).toEqual({
      packets: given.length,
      fen: given.reduce((sum, order) => sum + order.amountFen, 0n),
    });
  }
}

describe('buckets that move between shards', { timeout: 180_000 }, () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await startTestPostgres();
  });
  afterAll(() => server.stop());

  it('stay exact under traffic from two processes, while the mover is killed again and again', async () => {
    const random = seeded(testSeed('moving buckets'));
    const shards = await startShards([server], ['a', 'b'], BUCKETS);
    const processes = [await shards.open(), await shards.open()];
    const model = newModel();
    const movers = new Map<string, Pool>();
    const moverPool = ({ name, url }: { name: string; url: string }): Pool => {
      const known = movers.get(name);
      if (known) return known;
      const pool = openPool({ url, logger: quiet, connectionsMax: 3, applicationName: 'mover' });
      movers.set(name, pool);
      return pool;
    };
    const cuts: Promise<unknown>[] = [];
    const cutMover = async () => {
      await delay(random() * 8);
      for (const pool of shards.pools.values())
        await pool.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mover' AND datname = current_database()",
        );
    };
    let killed = 0;
    const options = {
      map: shards.map,
      poolOf: moverPool,
      retry: { ...shardRetry, tries: 3 },
      logger: quiet,
      accountsPerStep: 6,
      onStep: (step: string) => {
        // Catching up has many pages: killed as often at each, it would hardly ever come to the hand-over.
        const dice = random() * (step === 'caught-up' ? 3 : 1);
        if (dice < 0.12) throw new Error('the mover was killed');
        // Somewhere in what it does next; by steps and not by time, so that a slow machine gets through too.
        if (dice < 0.28) cuts.push(cutMover());
      },
    };
    const insist = async (act: () => Promise<unknown>): Promise<void> => {
      for (;;) {
        try {
          await act();
          return;
        } catch (error) {
          const isKill = /was killed|by somebody else now/.test((error as Error).message);
          if (!isKill && !(error instanceof RetryableFault)) throw error;
          killed += 1;
        }
      }
    };
    let going = true;
    const people = processes.flatMap((ledger) =>
      [1, 2, 3].map(() => traffic(ledger, model, random, () => going)),
    );
    const moving = (async () => {
      await shards.add('c');
      // Two movers at once, of which the later takes the other's work over; then one that does not give up.
      await Promise.allSettled([moveBucket(options, 0, 'c'), moveBucket(options, 0, 'c')]);
      await insist(() => rebalance(options));
      for (let moves = 0; moves < 3; moves += 1) {
        const target = ['a', 'b', 'c'][Math.floor(random() * 3)]!;
        const bucket = Math.floor(random() * BUCKETS);
        await insist(() => moveBucket(options, bucket, target));
      }
      await insist(() => rebalance(options));
    })();
    await moving.finally(() => {
      going = false;
    });
    await Promise.all([...people, ...cuts]);
    for (const ledger of processes) await until(model, () => ledger.credit(model.orders));
    process.stderr.write(
      `the mover was broken off ${killed} times, ${model.withdrawals.size} withdrawals, ${model.faults} calls were asked again\n`,
    );
    await assertExact(shards, processes[0]!, model);
    await assertExact(shards, processes[1]!, model);
    const held = [...(await shards.map.read())!.placement.values()];
    expect(['a', 'b', 'c'].map((name) => held.filter((one) => one === name).length).sort()).toEqual([
      2, 3, 3,
    ]);
    for (const pool of movers.values()) await pool.end();
    for (const ledger of processes) await ledger.close();
    await shards.stop();
  });
});
