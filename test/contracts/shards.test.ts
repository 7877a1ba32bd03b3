import type { Pool } from 'pg';
import { describe, expect, it } from 'vitest';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { creditOrders } from '../../src/ledger/credit.ts';
import { createLedger, finishMoves, ledgerMigrations, moveBucket } from '../../src/ledger/index.ts';
import { isBucketMoved } from '../../src/ledger/partition.ts';
import type { PhaseKey } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { anOrder } from '../support/orders.ts';
import { until } from '../support/rig.ts';
import { BUCKETS, orderIn, personIn, shardStage } from '../support/shard-stage.ts';
import { booksOf, shardRetry, type TestShards } from '../support/shards.ts';

const PHASE = 3 as PhaseKey;

describe('the ledger’s shards', { timeout: 60_000 }, () => {
  const { openShards, openProcess, moverOf, freshPool } = shardStage();

  it('refuse a process that takes a shard for the whole ledger, or the whole for a shard, or counts other buckets', async () => {
    const shards = await openShards();
    const order = orderIn(0);
    const account = { actId: order.actId, phaseKey: PHASE };
    const everyAct = (buckets: number | undefined, pool: Pool) => {
      const ledger = createLedger({ pool, retry: shardRetry, ...(buckets !== undefined && { buckets }) });
      return [
        ledger.credit([order]),
        ledger.creditUnlogged([order]),
        ledger.wallet(account, []),
        ledger.records(account, undefined, 5),
        ledger.withdrawal(account, '00000000-0000-7000-8000-000000000001' as never),
        ledger.markPaying('00000000-0000-7000-8000-000000000001' as never, account),
      ];
    };
    const { pool: alone } = await freshPool();
    await migrate(alone, ledgerMigrations);
    const answers = await Promise.allSettled([
      ...everyAct(undefined, shards.pools.get('a')!),
      ...everyAct(BUCKETS, shards.pools.get('b')!),
      ...everyAct(8, shards.pools.get('a')!),
      ...everyAct(BUCKETS, alone),
    ]);
    expect(answers).toHaveLength(24);
    for (const answer of answers)
      expect(answer.status === 'rejected' && isBucketMoved(answer.reason)).toBe(true);
    expect(await Promise.all(everyAct(BUCKETS, shards.pools.get('a')!))).toHaveLength(6);
  });

  it('take in what was written while their bucket was handed over, and send the next writer on', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    await ledger.credit([orderIn(0)]);
    const source = shards.pools.get('a')!;
    const client = await source.connect();
    let queued: Promise<unknown> = Promise.resolve();
    const move = moveBucket(
      moverOf(shards, async (step) => {
        if (step !== 'caught-up') return;
        // A writer that began before the hand-over, and one that comes while it is waited for.
        await client.query('BEGIN');
        await creditOrders(client, BUCKETS, [orderIn(0, 2)]);
        queued = until(async () => {
          const { rows } = await source.query(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND NOT granted",
          );
          return rows.length === 1;
        }, 'the mover waits for the writer').then(async () => {
          const next = ledger.credit([orderIn(0, 3)]);
          await client.query('COMMIT');
          return next;
        });
      }),
      0,
      'b',
    );
    expect(await move).toBe(true);
    await queued;
    client.release();
    const seen = await ledger.wallet({ actId: orderIn(0).actId, phaseKey: PHASE }, []);
    expect(seen.incomeFen).toBe(300n);
    expect((await source.query('SELECT 1 FROM ledger.posting WHERE act_id > 0')).rows).toEqual([]);
    for (const pool of shards.pools.values()) expect(await booksOf(pool)).toEqual({ total: 0n, wrong: [] });
  });

  it('change nothing for an earlier mover that wakes up', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    await ledger.credit([
      orderIn(0),
      anOrder({ person: personIn(0, 1) }),
      anOrder({ person: personIn(0, 2) }),
    ]);
    const late = moveBucket(
      moverOf(shards, async (step) => {
        // While this one sleeps in the middle of its copy, another does it all, and the person goes on there.
        if (step !== 'copied' || (await shards.map.read())!.placement.get(0) === 'b') return;
        await moveBucket(moverOf(shards), 0, 'b');
        await ledger.credit([orderIn(0, 2)]);
      }),
      0,
      'b',
    );
    await expect(late).rejects.toThrow('moved by somebody else now');
    const seen = await ledger.wallet({ actId: orderIn(0).actId, phaseKey: PHASE }, []);
    expect(seen.incomeFen).toBe(200n);
    expect((await shards.map.read())!.moves).toEqual([]);
  });

  it('keep what writers note for the next move when an earlier mover wakes up at its very end', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    await ledger.credit([orderIn(0)]);
    let note = (): void => {};
    let goOn = (): void => {};
    const isNoted = new Promise<void>((resolve) => {
      note = resolve;
    });
    const mayGoOn = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let next: Promise<boolean> | undefined;
    const late = moveBucket(
      moverOf(shards, async (step) => {
        if (step !== 'swept' || next) return;
        // While this one sleeps, others end its move, bring the bucket back, and are about to move it again.
        await moveBucket(moverOf(shards), 0, 'b');
        await moveBucket(moverOf(shards), 0, 'a');
        next = moveBucket(
          moverOf(shards, async (nextStep) => {
            if (nextStep !== 'copied') return;
            await ledger.credit([orderIn(0, 2)]);
            note();
            await mayGoOn;
          }),
          0,
          'b',
        );
        await isNoted;
      }),
      0,
      'b',
    );
    await late.catch(() => {});
    goOn();
    expect(await next).toBe(true);
    const seen = await ledger.wallet({ actId: orderIn(0).actId, phaseKey: PHASE }, []);
    expect(seen.incomeFen).toBe(200n);
  });

  it('carry fences along, also to a shard that the fencing process does not know', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    const order = orderIn(1, 1, 501);
    const unit = { sliceId: order.unit.sliceId, epoch: 1 };
    await ledger.fence(unit);
    await shards.add('c');
    await moveBucket(moverOf(shards), 1, 'c');
    expect((await ledger.creditUnlogged([order])).fenced).toEqual([order.orderNumber]);
    const another = orderIn(1, 2, 502);
    const old = await openProcess(shards);
    await shards.add('d');
    await moveBucket(moverOf(shards), 1, 'd');
    await old.fence({ sliceId: another.unit.sliceId, epoch: 1 });
    expect((await ledger.creditUnlogged([another])).fenced).toEqual([another.orderNumber]);
    expect(await ledger.fences()).toEqual(
      expect.arrayContaining([unit, { sliceId: another.unit.sliceId, epoch: 1 }]),
    );
    expect(await old.sliceTally(PHASE, another.unit.sliceId)).toEqual({ packets: 0, fen: 0n });
  });

  it('set a fence although a bucket is handed over at that very moment', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    const order = orderIn(0, 1, 503);
    const source = shards.pools.get((await shards.map.read())!.placement.get(0)!)!;
    const target = [...shards.pools.values()].find((pool) => pool !== source)!;
    const { sliceId } = order.unit;
    // What the last step of a move does: it holds the bucket's lock, and then its shard has it no more.
    const handOver = await source.connect();
    await handOver.query('BEGIN');
    await handOver.query('SELECT pg_advisory_xact_lock(179415, 0)');
    const fenced = ledger.fence({ sliceId, epoch: 1 });
    const waits = `SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND classid = 179415
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    await until(async () => (await source.query(waits)).rows.length > 0, 'the fence waits for the hand-over');
    await handOver.query("UPDATE ledger.bucket SET state = 'gone' WHERE bucket = 0");
    await handOver.query('COMMIT');
    handOver.release();
    await target.query("INSERT INTO ledger.bucket (bucket, state, epoch) VALUES (0, 'held', 1)");
    await fenced;
    expect((await ledger.creditUnlogged([order])).fenced).toEqual([order.orderNumber]);
    expect((await ledger.creditUnlogged([orderIn(2, 1, 503)])).credited).toBe(0);
  });

  it('tell of many orders which are credited at every step of a move, also a process with an old map', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    const stale = await openProcess(shards);
    const orders = [0, 1, 2, 3].map((bucket) => orderIn(bucket));
    const missing = [0, 1, 2, 3].map((bucket) => orderIn(bucket, 2));
    await ledger.credit(orders);
    const asked = orders.flatMap((order, at) => [order, missing[at]!]);
    const expected = asked.map((order) => order.rainId === 1);
    // Begun at each step; between two of them nobody holds the bucket, and who looks then waits.
    const looks: Promise<readonly boolean[]>[] = [];
    const look = () => void looks.push(ledger.areCredited(asked), stale.areCredited(asked));
    const target = (await shards.map.read())!.placement.get(0) === 'a' ? 'b' : 'a';
    await moveBucket(moverOf(shards, look), 0, target);
    look();
    expect(looks.length).toBeGreaterThan(6);
    for (const found of await Promise.all(looks)) expect(found).toEqual(expected);
  });

  it('list what is credited to many accounts at every step of a move, also a process with an old map', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    const stale = await openProcess(shards);
    const piece = anOrder({ person: personIn(0), rain: 3, award: 'drinks-coupon', slice: 2 });
    const orders = [0, 1, 2, 3].flatMap((bucket) => [orderIn(bucket), orderIn(bucket, 2)]);
    await ledger.credit([...orders, piece]);
    const nobody = anOrder({ person: personIn(0, 1) });
    const asked = [orders[6]!, orders[0]!, nobody, orders[2]!, orders[4]!, orders[0]!].map(
      ({ actId, phaseKey }) => ({ actId, phaseKey }),
    );
    const expected = asked.map(({ actId }) =>
      [...orders, piece]
        .filter((order) => order.actId === actId)
        .map((order) => order.orderNumber)
        .sort(),
    );
    const looks: ReturnType<typeof ledger.creditedOrdersOf>[] = [];
    const look = () => void looks.push(ledger.creditedOrdersOf(asked), stale.creditedOrdersOf(asked));
    const target = (await shards.map.read())!.placement.get(0) === 'a' ? 'b' : 'a';
    await moveBucket(moverOf(shards, look), 0, target);
    look();
    expect(looks.length).toBeGreaterThan(6);
    for (const found of await Promise.all(looks))
      expect(found.map((one) => one.map((order) => order.orderNumber))).toEqual(expected);
    // A shard without the bucket says so, also of an account of which nothing lies anywhere.
    const left = createLedger({
      pool: shards.pools.get(target === 'a' ? 'b' : 'a')!,
      retry: shardRetry,
      buckets: BUCKETS,
    });
    await expect(left.creditedOrdersOf([asked[2]!])).rejects.toMatchObject({ code: 'HB001' });
  });

  it('count a slice right at every step of a move', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    const orders = [0, 1, 2].map((nth) => anOrder({ person: personIn(2, nth), slice: 600, fen: 7 }));
    await ledger.credit(orders);
    const tallies: unknown[] = [];
    const look = async () =>
      tallies.push(
        await ledger.sliceTally(PHASE, orders[0]!.unit.sliceId),
        await totals(shards),
        await creditedPackets(),
      );
    // No shard takes back what it said, and nobody says it a second time.
    const creditedPackets = async () =>
      (await ledger.creditedSums()).reduce((sum, { credited }) => sum + credited.packets, 0);
    await moveBucket(moverOf(shards, look), 2, 'b');
    expect(tallies.length).toBeGreaterThan(18);
    for (let at = 0; at < tallies.length; at += 3)
      expect(tallies.slice(at, at + 3)).toEqual([{ packets: 3, fen: 21n }, [0n, 0n], 3]);
    await ledger.credit([anOrder({ person: personIn(2, 3), slice: 600, fen: 7 })]);
    expect((await ledger.creditedSums()).map((sum) => [sum.database, sum.credited])).toEqual([
      ['a', { fen: 21n, packets: 3 }],
      ['b', { fen: 7n, packets: 1 }],
    ]);
  });

  it('are made whole again by control when a mover died between the two commits of a hand-over', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    await ledger.credit([orderIn(0)]);
    const dying = moverOf(shards, (step) => {
      if (step === 'handed-over') throw new Error('the mover died');
    });
    await expect(moveBucket(dying, 0, 'b')).rejects.toThrow('died');
    // Nobody owns it now; whoever asks waits, and is answered once it is finished.
    const waiting = ledger.credit([orderIn(0), orderIn(0, 2)]);
    expect(await finishMoves(moverOf(shards))).toBe(1);
    expect(await waiting).toEqual({ credited: 1, alreadyCredited: 1, conflicting: [] });
    expect(await finishMoves(moverOf(shards))).toBe(0);
  });

  it('sweep nothing away that has not arrived', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    await ledger.credit([orderIn(3)]);
    const { source, target } = { source: shards.pools.get('b')!, target: shards.pools.get('a')! };
    const mover = moverOf(shards, async (step) => {
      if (step === 'placed') await target.query('UPDATE ledger.posting SET amount_fen = 99 WHERE act_id > 0');
    });
    await expect(moveBucket(mover, 3, 'a')).rejects.toThrow('I2 is broken');
    expect((await source.query('SELECT 1 FROM ledger.posting WHERE act_id > 0')).rows).toHaveLength(1);
    await target.query('UPDATE ledger.posting SET amount_fen = 100 WHERE act_id > 0');
    expect(await moveBucket(moverOf(shards), 3, 'a')).toBe(true);
    expect(await moveBucket(moverOf(shards), 3, 'a')).toBe(false);
    expect((await source.query('SELECT 1 FROM ledger.posting WHERE act_id > 0')).rows).toEqual([]);
  });

  it('carry pieces along, and what becomes of them at each step of the way', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    const pieces = Array.from({ length: 12 }, (_, nth) =>
      anOrder({
        person: personIn(0, nth % 5),
        rain: 1 + nth,
        award: 'cinema-ticket',
        fen: nth % 3,
        slice: 650,
      }),
    );
    const money = anOrder({ person: personIn(0, 7), slice: 651 });
    await ledger.credit([...pieces.slice(0, 6), money]);
    let step = 0;
    const ask = async ({ actId, orderNumber }: Order, what: 'given' | 'dead' | 'used') => {
      const key = [{ actId, phaseKey: PHASE }, orderNumber] as const;
      expect(await ledger.markAsking(...key)).toBe(true);
      if (what === 'dead') await ledger.settleAward(...key, { state: 'dead', reason: 'sold out' });
      else await ledger.settleAward(...key, { state: 'fulfilled', voucher: `voucher ${orderNumber}` });
      if (what === 'used') await ledger.useAward(...key, instantMs(5));
    };
    const ends = (['given', 'used', 'dead', 'given', 'used', 'given'] as const).map(
      (what, at) => [pieces[at]!, what] as const,
    );
    const seen = async () => {
      const due = await ledger.dueAwards(instantMs(1_900_000_000_000), 99);
      expect(await ledger.awardsDueBehind(instantMs(0), 99)).toEqual(due);
      return due.length + (await ledger.deadAwards(undefined, 99)).length;
    };
    await moveBucket(
      moverOf(shards, async (at) => {
        // While nobody owns the bucket, who writes would wait for the mover.
        if (at === 'handed-over') return;
        const end = ends[step];
        if (end) await ask(...end);
        if (pieces[6 + step]) await ledger.credit([pieces[6 + step]!, pieces[step]!]);
        step += 1;
        const [done, came] = [Math.min(step, 6), Math.min(step, 6)];
        const dead = ends.slice(0, done).filter(([, what]) => what === 'dead').length;
        // Each once, though two shards may have it.
        expect(await seen()).toBe(6 + came - done + dead);
        expect(await ledger.credit(pieces.slice(0, 6))).toMatchObject({ alreadyCredited: 6 });
      }),
      0,
      'b',
    );
    expect(step).toBeGreaterThan(6);
    const states = await Promise.all(
      pieces.map(({ actId, orderNumber }) => ledger.award({ actId, phaseKey: PHASE }, orderNumber)),
    );
    expect(states.map((award) => award?.state)).toEqual([
      ...['fulfilled', 'used', 'dead', 'fulfilled', 'used', 'fulfilled'],
      ...Array.from({ length: 6 }, () => 'granted'),
    ]);
    expect(states[0]?.voucher).toBe(`voucher ${pieces[0]!.orderNumber}`);
    expect(states.map((award) => award?.worthFen)).toEqual(pieces.map((order) => order.amountFen));
    expect(await ledger.sliceTally(PHASE, 650n as never)).toEqual({ packets: 12, fen: 12n });
    expect((await shards.pools.get('a')!.query('SELECT 1 FROM ledger.award')).rows).toEqual([]);
    for (const pool of shards.pools.values()) expect(await booksOf(pool)).toEqual({ total: 0n, wrong: [] });
  });

  it.each([
    ['is not there', 'DELETE FROM ledger.award'],
    ['was taken back', "UPDATE ledger.award SET state = 'granted'"],
    ['has another voucher', "UPDATE ledger.award SET voucher = 'another'"],
  ])('sweep no piece away that was handed out and at the target %s', async (_, harm) => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    const piece = anOrder({ person: personIn(3), award: 'shop-coupon' });
    const key = [{ actId: piece.actId, phaseKey: PHASE }, piece.orderNumber] as const;
    await ledger.credit([piece]);
    await ledger.settleAward(...key, { state: 'fulfilled', voucher: 'V' });
    const { source, target } = { source: shards.pools.get('b')!, target: shards.pools.get('a')! };
    const mover = moverOf(shards, async (step) => {
      if (step === 'placed') await target.query(harm);
    });
    await expect(moveBucket(mover, 3, 'a')).rejects.toThrow('I2 is broken');
    const { rows } = await source.query('SELECT * FROM ledger.award');
    expect(rows).toMatchObject([{ state: 'fulfilled', voucher: 'V' }]);
  });

  it('list the pieces of the shards that answer', async () => {
    const shards = await openShards();
    const ledger = await openProcess(shards);
    const [here, there] = [0, 1].map((bucket) =>
      anOrder({ person: personIn(bucket), award: 'culture-coupon' }),
    );
    await ledger.credit([here!, there!]);
    const due = async () =>
      (await ledger.dueAwards(instantMs(1_900_000_000_000), 9)).map((award) => award.orderNumber);
    expect((await due()).sort()).toEqual([here!.orderNumber, there!.orderNumber].sort());
    const behind = async () =>
      (await ledger.awardsDueBehind(instantMs(0), 9)).map((award) => award.orderNumber);
    expect((await behind()).sort()).toEqual([here!.orderNumber, there!.orderNumber].sort());
    await shards.pools.get('b')!.query('ALTER TABLE ledger.award RENAME TO gone');
    expect(await due()).toEqual([here!.orderNumber]);
    await shards.pools.get('a')!.query('ALTER TABLE ledger.award RENAME TO gone');
    await expect(due()).rejects.toThrow('does not exist');
  });
});

const totals = async (shards: TestShards): Promise<bigint[]> =>
  Promise.all([...shards.pools.values()].map(async (pool) => (await booksOf(pool)).total));
