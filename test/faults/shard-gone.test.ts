import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WithdrawalRequest } from '../../src/engines/ports.ts';
import type { ShardedLedger } from '../../src/ledger/index.ts';
import { isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import { bucketOf } from '../../src/vocabulary/bucket.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { PhaseKey, WithdrawalId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { type PostgresServer, startPostgres } from '../../tools/services/postgres.ts';
import { anOrder } from '../support/orders.ts';
import { until } from '../support/rig.ts';
import { startShards, type TestShards } from '../support/shards.ts';

const BUCKETS = 4;
const PHASE = 3 as PhaseKey;
/** Shards a and b take turns: even buckets on a, odd ones on b. */
const ordersOn = (shard: 'a' | 'b', rain: number): Order[] =>
  Array.from({ length: 40 }, (_, person) => anOrder({ person: person + 1, rain })).filter(
    (order) => bucketOf(order.actId, BUCKETS) % 2 === (shard === 'a' ? 0 : 1),
  );

let made = 0;
const withdrawalOf = (order: Order): WithdrawalRequest => {
  made += 1;
  return {
    id: `00000000-0000-7000-8000-${String(made).padStart(12, '0')}` as WithdrawalId,
    account: { actId: order.actId, phaseKey: PHASE },
    amountFen: 5n as Fen,
    idempotencyKey: `key-${made}`,
    payloadHash: new Uint8Array(32),
    requestedAtMs: instantMs(1_800_000_100_000 + made),
    force: [],
  };
};

describe('one shard gone', { timeout: 120_000 }, () => {
  let servers: [PostgresServer, PostgresServer];
  let shards: TestShards;
  let ledger: ShardedLedger;

  beforeAll(async () => {
    servers = await Promise.all([startPostgres({ name: 'shard-a' }), startPostgres({ name: 'shard-b' })]);
    shards = await startShards(servers, ['a', 'b'], BUCKETS);
    ledger = await shards.open({ shutMs: 200, statementMs: 1_500 });
    await ledger.credit([...ordersOn('a', 1), ...ordersOn('b', 1)]);
  });
  afterAll(async () => {
    await ledger.close();
    await shards.stop();
    await Promise.all(servers.map((server) => server.discard()));
  });

  it.each([
    {
      how: 'killed',
      take: () => servers[1].kill(),
      back: () => servers[1].restart(),
    },
    {
      how: 'frozen',
      take: async () => servers[1].freeze(),
      back: async () => servers[1].thaw(),
    },
  ])('fails its own accounts, and those fast, while all others go on: $how', async ({ how, take, back }) => {
    const rain = how === 'killed' ? 2 : 3;
    const [onA, onB] = [ordersOn('a', rain), ordersOn('b', rain)];
    const heldOnB = withdrawalOf(onB[0]!);
    const heldOnA = withdrawalOf(onA[0]!);
    for (const request of [heldOnA, heldOnB]) expect(isRefusal(await ledger.hold(request))).toBe(false);
    await take();

    // The first to find out wait for their deadlines; then nobody asks the shard any more until it may be back.
    await expect(ledger.wallet(heldOnB.account, [])).rejects.toBeInstanceOf(RetryableFault);
    await until(
      () =>
        ledger.wallet(heldOnB.account, []).then(
          () => false,
          (error: Error) => error.message.includes('is away'),
        ),
      'the gate is shut',
      60_000,
    );
    for (const act of [
      () => ledger.credit(onB),
      () => ledger.hold(withdrawalOf(onB[1]!)),
      () => ledger.sliceTally(PHASE, onB[0]!.unit.sliceId),
      () => ledger.fence({ sliceId: onB[0]!.unit.sliceId, epoch: 1 }),
    ])
      await expect(act()).rejects.toBeInstanceOf(RetryableFault);

    expect((await ledger.credit(onA)).credited).toBe(onA.length);
    expect((await ledger.wallet(heldOnA.account, [])).heldFen).toBeGreaterThan(0n);
    const unsettled = (await ledger.unsettled(10)).map((one) => one.id);
    expect(unsettled).toContain(heldOnA.id);
    expect(unsettled).not.toContain(heldOnB.id);
    const health = await ledger.health();
    expect(health.reachable).toBe(true);
    expect(health.reason).toContain('shard b');
    expect((await ledger.shardHealth()).map(({ name, reachable }) => [name, reachable])).toEqual([
      ['a', true],
      ['b', false],
    ]);

    await back();
    await until(async () => (await ledger.health()).reason === undefined, 'shard b is back', 60_000);
    expect((await ledger.credit([...onA, ...onB])).credited).toBe(onB.length);
    expect((await ledger.unsettled(10)).map((one) => one.id)).toContain(heldOnB.id);
  });

  it('holds up nobody else with those who wait for it', async () => {
    const crowded = await shards.open({ shutMs: 60_000, statementMs: 5_000, callsMax: 64 });
    const onB = ordersOn('b', 1)[0]!;
    const account = { actId: onB.actId, phaseKey: PHASE };
    await crowded.wallet(account, []);
    servers[1].freeze();
    const waiting = Array.from({ length: 300 }, () => crowded.wallet(account, []).catch((error) => error));
    // More than may wait were sent home at once, and shard a serves as ever while the others still wait.
    let homeSoon = 0;
    for (const one of waiting) void one.then(() => (homeSoon += 1));
    await crowded.credit(ordersOn('a', 4));
    expect(homeSoon).toBeGreaterThanOrEqual(200);
    expect(homeSoon).toBeLessThan(300);
    servers[1].thaw();
    await Promise.all(waiting);
    await crowded.close();
  });
});
