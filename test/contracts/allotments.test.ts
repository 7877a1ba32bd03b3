import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Allotments, BudgetSetting, Slice } from '../../src/engines/ports.ts';
import { allotmentMigrations, createAllotments } from '../../src/engines/postgres/allotments/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { PhaseKey, RainId, SceneId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { seeded, testSeed } from '../support/orders.ts';
import { postgresKinds, quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const phaseKey = 3 as PhaseKey;
const until = { dealUntilMs: instantMs(1_000), grantUntilMs: instantMs(2_000) };
const line = (
  scene: string,
  rain: number | undefined,
  fen: number,
  packets: number,
  rule: BudgetSetting['rule'] = 'split',
) => ({
  phaseKey,
  sceneId: scene as SceneId,
  rainId: rain as RainId | undefined,
  total: { fen: BigInt(fen) as Fen, packets },
  packetCapFen: 1_000n as Fen,
  rule,
});
const ask = (scene: string, rain: number | undefined, packetsWanted: number, fenWanted?: bigint) => ({
  phaseKey,
  sceneId: scene as SceneId,
  rainId: rain as RainId | undefined,
  holder: 'test',
  packetsWanted,
  ...(fenWanted === undefined ? {} : { fenWanted: fenWanted as Fen }),
  ...until,
});

describe.each(postgresKinds())('allotments on %s Postgres', (kind) => {
  let server: TestPostgres;
  let pool: Pool;
  let allotments: Allotments;
  const random = seeded(testSeed('allotments'));

  beforeAll(async () => {
    server = await startTestPostgres(kind);
    pool = openPool({
      url: await server.createDatabase(),
      logger: quiet,
      connectionsMax: 16,
      applicationName: 'test',
    });
    await migrate(pool, allotmentMigrations);
    const retry = { tries: 20, sleepMs: () => new Promise<void>(setImmediate), random };
    allotments = createAllotments({
      pool,
      retry,
      randomBelow: (below) => BigInt(Math.floor(random() * Number(below))),
    });
  });
  afterAll(async () => {
    await pool.end();
    await server.stop();
  });

  const lineOf = async (scene: string, rain?: number, key = phaseKey) => {
    const lines = await allotments.budgets(key);
    return lines.find((one) => one.sceneId === scene && one.rainId === rain)!;
  };
  const remaining = async (scene: string, rain?: number) => (await lineOf(scene, rain)).remaining;
  /** Leases until there are so many packets; a single slice is at most half of what is left. */
  const leaseInAll = async (scene: string, rain: number | undefined, packets: number): Promise<Slice[]> => {
    const slices: Slice[] = [];
    for (let left = packets; left > 0; left -= slices.at(-1)!.packets)
      slices.push((await allotments.lease(ask(scene, rain, left)))!);
    return slices;
  };

  it('cuts a whole budget into slices that sum to it exactly, and then has nothing', async () => {
    await allotments.setBudgets([line('a', undefined, 100_000, 1_000), line('a', 1, 33_333, 100)]);
    const slices: Slice[] = [];
    for (;;) {
      const slice = await allotments.lease(ask('a', 1, 7));
      if (!slice) break;
      slices.push(slice);
    }
    const amounts = slices.flatMap((slice) => slice.packetsFen!);
    expect(amounts).toHaveLength(100);
    expect(amounts.reduce((sum, one) => sum + one, 0n)).toBe(33_333n);
    expect(await remaining('a')).toEqual({ packets: 900, fen: 66_667n });
  });

  it('never leases more than is there, with 64 asking at once and everything going back in the end', async () => {
    await allotments.setBudgets([line('b', undefined, 50_000, 640), line('b', 1, 50_000, 640)]);
    const spend = async () => {
      for (;;) {
        const slice = await allotments.lease(ask('b', 1, 1 + Math.floor(random() * 9)));
        if (!slice) return 0n;
        const dealt = Math.floor(random() * (slice.packets + 1));
        const tail = slice.packetsFen!.slice(dealt).reduce((sum, one) => sum + one, 0n) as Fen;
        if (random() < 0.5) await allotments.returnTail(slice, dealt, tail);
        if (random() < 0.3) continue;
        await allotments.fence(slice);
        const fen = slice.packetsFen!.slice(0, dealt).reduce((sum, one) => sum + one, 0n) as Fen;
        await allotments.close(slice, { packets: dealt, fen });
        await allotments.close(slice, { packets: dealt, fen });
      }
    };
    await Promise.all(Array.from({ length: 64 }, spend));
    const { rows } = await pool.query(
      "SELECT sum(packets)::bigint AS leased, sum(fen)::bigint AS fen FROM allotment.slice WHERE scene_id = 'b' AND state = 'open'",
    );
    for (const { slice } of await allotments.unclosed()) {
      if (slice.sceneId !== 'b') continue;
      await allotments.fence(slice);
      await allotments.close(slice, { packets: 0, fen: 0n as Fen });
    }
    const given = await pool.query(
      "SELECT coalesce(sum(given_packets), 0)::bigint AS packets, coalesce(sum(given_fen), 0)::bigint AS fen FROM allotment.slice WHERE scene_id = 'b'",
    );
    const left = await remaining('b', 1);
    expect(rows[0].leased).toBeDefined();
    expect(BigInt(left.packets) + given.rows[0].packets).toBe(640n);
    expect(left.fen + given.rows[0].fen).toBe(50_000n);
    expect(await remaining('b')).toEqual(left);
  });

  it('leases by money for a scene whose amounts upstreams name', async () => {
    await allotments.setBudgets([line('c', undefined, 1_000, 10, 'given')]);
    expect(await allotments.lease(ask('c', undefined, 4, 400n))).toMatchObject({
      packets: 4,
      fen: 400n,
      packetsFen: undefined,
    });
    // Half of what is left; but no less than the grant that waits for it.
    expect(await allotments.lease(ask('c', undefined, 40, 900n))).toMatchObject({ packets: 3, fen: 300n });
    const waiting = { ...ask('c', undefined, 40, 900n), fenLeast: 250n as Fen };
    expect(await allotments.lease(waiting)).toMatchObject({ packets: 2, fen: 250n });
    expect(await allotments.lease(waiting)).toBeUndefined();
    expect(await allotments.lease(ask('c', undefined, 1, 50n))).toMatchObject({ packets: 1, fen: 25n });
    expect(await allotments.lease(ask('c', undefined, 1, 50n))).toBeUndefined();
  });

  it('stops at the scene’s total even when a round would have more', async () => {
    await allotments.setBudgets([
      line('d', undefined, 100, 10),
      line('d', 1, 100, 10),
      line('d', 2, 100, 10),
    ]);
    await leaseInAll('d', 1, 7);
    await leaseInAll('d', 2, 3);
    expect(await allotments.lease(ask('d', 2, 10))).toBeUndefined();
    expect(await remaining('d')).toEqual({ packets: 0, fen: 0n });
    expect((await remaining('d', 2)).packets).toBe(7);
  });

  it('raises a total, refuses one below what is out, and stops loudly when a slice gave too much', async () => {
    await allotments.setBudgets([line('e', undefined, 100, 10)]);
    const [slice] = await leaseInAll('e', undefined, 8);
    expect(await allotments.setBudgets([line('e', undefined, 200, 20)])).toBeUndefined();
    expect((await allotments.setBudgets([line('e', undefined, 100, 7)]))?.refused).toBe('budget-exhausted');
    await allotments.fence(slice!);
    await expect(allotments.close(slice!, { packets: 6, fen: 1n as Fen })).rejects.toThrow('I4 is broken');
  });

  it('refuses a change that would leave a round with what can’t be cut, and changes nothing then', async () => {
    await allotments.setBudgets([line('f', undefined, 100_000, 1_000), line('f', 1, 1_000, 100)]);
    await leaseInAll('f', 1, 99);
    const refusal = await allotments.setBudgets([
      line('f', undefined, 100_000, 900),
      line('f', 1, 1_000, 2_000),
    ]);
    expect(refusal).toMatchObject({
      refused: 'budget-exhausted',
      detail: expect.stringContaining('round 1'),
    });
    expect(await remaining('f', 1)).toEqual({ packets: 1, fen: 10n });
    expect((await remaining('f')).packets).toBe(901);
  });

  it('leases what can be paid from a total whose packets can’t carry all of its money', async () => {
    await allotments.setBudgets([line('g', undefined, 1_000, 100)]);
    await leaseInAll('g', undefined, 98);
    await allotments.setBudgets([line('g', undefined, 9_000, 100)]);
    for (const _ of [1, 2])
      expect(await allotments.lease(ask('g', undefined, 5))).toMatchObject({ packets: 1, fen: 1_000n });
    expect(await allotments.lease(ask('g', undefined, 5))).toBeUndefined();
    await allotments.setBudgets([line('h', undefined, 1_000, 100)]);
    await leaseInAll('h', undefined, 99);
    await allotments.setBudgets([line('h', undefined, 1_000, 2_000)]);
    const thin = await leaseInAll('h', undefined, 10);
    expect(thin.flatMap(({ packetsFen }) => packetsFen!)).toEqual(Array(10).fill(1n));
    expect(await allotments.lease(ask('h', undefined, 1_891))).toBeUndefined();
  });

  it('knows no line that was never set', async () => {
    expect(await allotments.lease(ask('nobody', 1, 5))).toBeUndefined();
  });
});
