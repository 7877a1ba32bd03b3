import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
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

  it('keeps where a slice’s fence stands, bucket by bucket', async () => {
    await allotments.setBudgets([line('fences', undefined, 100, 10), line('fences', 1, 100, 10)]);
    const slice = (await allotments.lease(ask('fences', 1, 4)))!;
    const noted = async () =>
      (await allotments.unclosed()).find((one) => one.slice.sliceId === slice.sliceId)?.fencedAt;
    expect(await noted()).toEqual([]);
    await allotments.fence(slice);
    for (const places of [[undefined, 7, undefined], [2 ** 40, 7, 1], []]) {
      await allotments.noteFences(slice, places);
      expect(await noted()).toEqual(places);
    }
    await allotments.noteFences({ ...slice, epoch: slice.epoch + 1 }, [9]);
    expect(await noted()).toEqual([]);
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

  describe('totals above the scenes', () => {
    let phases = 100;
    let key: PhaseKey;
    beforeEach(() => {
      phases += 1;
      key = phases as PhaseKey;
    });
    const level = (path: string, packets: number, fen: number): BudgetSetting => ({
      ...line(path, undefined, fen, packets, 'level'),
      phaseKey: key,
      packetCapFen: 0n as Fen,
    });
    const scene = (
      id: string,
      packets: number,
      fen: number,
      levels: string[],
      rule: BudgetSetting['rule'] = 'split',
      capFen = 1_000,
    ): BudgetSetting => ({
      ...line(id, undefined, fen, packets, rule),
      phaseKey: key,
      packetCapFen: BigInt(capFen) as Fen,
      levels,
    });
    const leaseOf = (id: string, packets: number, holder = 'test') =>
      allotments.lease({ ...ask(id, undefined, packets), phaseKey: key, holder });
    const leftOf = async (id: string) => (await lineOf(id, undefined, key)).remaining;
    const drain = async (id: string): Promise<Slice[]> => {
      const slices: Slice[] = [];
      for (let slice = await leaseOf(id, 1_000); slice; slice = await leaseOf(id, 1_000)) slices.push(slice);
      return slices;
    };
    const closed = async (slice: Slice, packets: number) => {
      const fen = slice.packetsFen!.slice(0, packets).reduce((sum, one) => sum + one, 0n) as Fen;
      await allotments.fence(slice);
      await allotments.close(slice, { packets, fen });
    };
    const sum = (slices: readonly Slice[]) => ({
      packets: slices.reduce((total, one) => total + one.packets, 0),
      fen: slices.reduce((total, one) => total + one.fen, 0n),
    });
    /** Every level is the sum of the scenes that name it. */
    const faults = async () => {
      const { rows } = await pool.query<{ scene_id: string }>(
        `SELECT l.scene_id FROM allotment.line l WHERE l.rule = 'level' AND (l.leased_packets, l.leased_fen, l.given_packets, l.given_fen)
         <> (SELECT coalesce(sum(s.leased_packets), 0), coalesce(sum(s.leased_fen), 0), coalesce(sum(s.given_packets), 0), coalesce(sum(s.given_fen), 0)
             FROM allotment.line s WHERE s.phase_key = l.phase_key AND s.rain_id = 0 AND l.scene_id = ANY (s.levels))`,
      );
      return rows.map((row) => row.scene_id);
    };

    it('takes a slice from scene, item, reward and campaign, and gives back to all of them', async () => {
      const above = ['/', '/r', '/r/i'];
      await allotments.setBudgets([
        level('/', 1_000, 100_000),
        level('/r', 500, 50_000),
        level('/r/i', 200, 20_000),
        scene('x', 100, 10_000, above),
      ]);
      const slice = (await leaseOf('x', 10))!;
      for (const [id, packets] of [
        ['x', 90],
        ['/r/i', 190],
        ['/r', 490],
        ['/', 990],
      ] as const)
        expect((await leftOf(id)).packets).toBe(packets);
      const tail = slice.packetsFen!.slice(7).reduce((total, one) => total + one, 0n) as Fen;
      await allotments.returnTail(slice, 7, tail);
      await allotments.returnTail(slice, 7, tail);
      await closed(slice, 4);
      const given = slice.packetsFen!.slice(0, 4).reduce((total, one) => total + one, 0n);
      for (const id of ['x', ...above]) {
        const { total, remaining: left, ...rest } = await lineOf(id, undefined, key);
        expect(rest).toMatchObject({ leased: { packets: 0, fen: 0n }, given: { packets: 4, fen: given } });
        expect(left).toEqual({ packets: total.packets - 4, fen: total.fen - given });
      }
    });

    it('gives exactly a common total, whatever many scenes ask for at once', async () => {
      const ids = ['p', 'q', 'r', 's'];
      await allotments.setBudgets([
        level('/', 10_000, 1_000_000),
        level('/r', 300, 30_000),
        level('/r/i', 200, 30_000),
        ...ids.map((id, at) => scene(id, 250, 25_000, at < 2 ? ['/', '/r', '/r/i'] : ['/', '/r'])),
      ]);
      const slices = await Promise.all(
        Array.from({ length: 32 }, async (_, at) => {
          const taken: Slice[] = [];
          for (;;) {
            const slice = await leaseOf(ids[at % ids.length]!, 1 + (at % 7), `holder ${at % 8}`);
            if (!slice) return taken;
            taken.push(slice);
          }
        }),
      );
      expect(sum(slices.flat())).toEqual({ packets: 300, fen: 30_000n });
      expect(await leftOf('/r')).toEqual({ packets: 0, fen: 0n });
      expect((await lineOf('/r/i', undefined, key)).leased.packets).toBeLessThanOrEqual(200);
      expect(await faults()).toEqual([]);
    });

    it('leases the biggest number that every total can pay, to the last packet of a fixed amount', async () => {
      await allotments.setBudgets([level('/', 1_000, 1_350), scene('x', 100, 10_000, ['/'], 'fixed', 100)]);
      expect(sum(await drain('x'))).toEqual({ packets: 13, fen: 1_300n });
      expect(await leftOf('/')).toEqual({ packets: 987, fen: 50n });
    });

    it('gives the last fen of a total as a smaller packet, once nobody has any of it out', async () => {
      await allotments.setBudgets([level('/', 1_000, 250), scene('x', 100, 10_000, ['/'])]);
      const slices = await drain('x');
      expect(sum(slices)).toEqual({ packets: 2, fen: 200n });
      for (const slice of slices) await closed(slice, slice.packets);
      expect(await drain('x')).toMatchObject([{ packets: 1, fen: 50n }]);
      expect(await leftOf('/')).toEqual({ packets: 997, fen: 0n });
    });

    it('counts pieces, and their worth where they are worth something', async () => {
      await allotments.setBudgets([
        level('/', 25, 500),
        scene('card', 20, 0, ['/'], 'piece', 0),
        scene('coupon', 20, 1_000, ['/'], 'piece', 50),
      ]);
      const coupons = await drain('coupon');
      expect(sum(coupons)).toEqual({ packets: 10, fen: 500n });
      expect(coupons[0]!.packetsFen).toEqual([50n, 50n, 50n, 50n, 50n]);
      expect(sum(await drain('card'))).toEqual({ packets: 15, fen: 0n });
    });

    it('leaves each of several holders a fair part, by the scarcest total, and counts who gave back no more', async () => {
      await allotments.setBudgets([
        level('/', 80, 100_000),
        scene('x', 1_000, 100_000, ['/']),
        scene('y', 1_000, 100_000, ['/']),
      ]);
      const first = (await leaseOf('x', 500, 'a'))!;
      expect(first.packets).toBe(40);
      // Two who hold of the campaign's total, though of different scenes: a quarter of the 40 that remain.
      expect((await leaseOf('y', 500, 'b'))!.packets).toBe(10);
      await allotments.returnTail(first, 0, first.fen);
      // 70 remain, and b alone holds any.
      expect((await leaseOf('y', 500, 'b'))!.packets).toBe(35);
    });

    it('deals for a shorter time from a slice that came out smaller', async () => {
      await allotments.setBudgets([scene('x', 100, 1_000, [])]);
      const times = {
        dealFromMs: instantMs(1_000_000),
        dealUntilMs: instantMs(1_060_000),
        grantUntilMs: instantMs(1_070_000),
      };
      const wanting = (packetsWanted: number) =>
        allotments.lease({ ...ask('x', undefined, packetsWanted), phaseKey: key, ...times });
      expect(await wanting(10)).toMatchObject({ dealUntilMs: 1_060_000, grantUntilMs: 1_070_000 });
      expect(await wanting(90)).toMatchObject({
        packets: 45,
        dealUntilMs: 1_030_000,
        grantUntilMs: 1_040_000,
      });
    });

    it('counts for a level that is set, dropped or changed later all that its scenes have out and given', async () => {
      await allotments.setBudgets([scene('x', 100, 1_000, []), scene('y', 100, 1_000, [])]);
      const given = (await leaseOf('x', 20))!;
      await closed(given, 15);
      const out = [(await leaseOf('x', 10))!, (await leaseOf('y', 30))!];
      const refused = await allotments.setBudgets([
        level('/', 54, 10_000),
        scene('x', 100, 1_000, ['/']),
        scene('y', 100, 1_000, ['/']),
      ]);
      expect(refused?.refused).toBe('budget-exhausted');
      expect(
        await allotments.setBudgets([
          level('/', 60, 10_000),
          level('/r', 40, 10_000),
          scene('x', 100, 1_000, ['/', '/r']),
          scene('y', 100, 1_000, ['/']),
        ]),
      ).toBeUndefined();
      expect(await lineOf('/', undefined, key)).toMatchObject({
        leased: { packets: 40 },
        given: { packets: 15 },
        remaining: { packets: 5 },
      });
      expect((await leftOf('/r')).packets).toBe(15);
      // y moves below /r, which has 15 left and would then have 15 fewer; with more in it, it may.
      const moved = (packets: number) =>
        allotments.setBudgets([
          level('/r', packets, 10_000),
          scene('x', 100, 1_000, ['/r']),
          scene('y', 100, 1_000, ['/r']),
        ]);
      expect((await moved(54))?.refused).toBe('budget-exhausted');
      expect(await moved(56)).toBeUndefined();
      expect((await leftOf('/r')).packets).toBe(1);
      expect((await allotments.budgets(key)).map(({ sceneId }) => sceneId)).toEqual(['/r', 'x', 'y']);
      for (const slice of out) await closed(slice, 1);
      expect(await lineOf('/r', undefined, key)).toMatchObject({
        leased: { packets: 0 },
        given: { packets: 17 },
        remaining: { packets: 39 },
      });
      expect(await faults()).toEqual([]);
    });

    it('keeps every total while files change it, slices come and go, and nobody waits for anybody for ever', async () => {
      const files = [
        [level('/', 400, 50_000), scene('x', 200, 20_000, ['/']), scene('y', 200, 20_000, ['/'])],
        [
          level('/', 410, 50_000),
          level('/r', 390, 50_000),
          scene('x', 200, 20_000, ['/', '/r']),
          scene('y', 200, 20_000, ['/']),
        ],
        [level('/r', 395, 50_000), scene('x', 201, 20_100, []), scene('y', 200, 20_000, ['/r'])],
      ];
      await allotments.setBudgets(files[0]!);
      const spend = async (at: number) => {
        for (let turn = 0; turn < 8; turn += 1) {
          const slice = await leaseOf(at % 2 ? 'x' : 'y', 1 + Math.floor(random() * 9), `holder ${at % 4}`);
          if (!slice) continue;
          const dealt = Math.floor(random() * (slice.packets + 1));
          const tail = slice.packetsFen!.slice(dealt).reduce((total, one) => total + one, 0n) as Fen;
          if (random() < 0.5) await allotments.returnTail(slice, dealt, tail);
          await closed(slice, Math.floor(dealt * random()));
        }
      };
      const change = async () => {
        for (let turn = 0; turn < 16; turn += 1) await allotments.setBudgets(files[turn % files.length]!);
      };
      await Promise.all([...Array.from({ length: 12 }, (_, at) => spend(at)), change()]);
      expect(await faults()).toEqual([]);
      const lines = await allotments.budgets(key);
      expect(lines.every(({ leased }) => leased.packets === 0 && leased.fen === 0n)).toBe(true);
      const { rows } = await pool.query<{ deadlocks: bigint }>(
        'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
      );
      expect(rows).toEqual([{ deadlocks: 0n }]);
    });

    it('says what a scene has left, and that it is low when any total above it is', async () => {
      await allotments.setBudgets([
        level('/', 50, 100_000),
        scene('x', 1_000, 10_000, ['/']),
        scene('y', 40, 4_000, []),
      ]);
      const stock = async (id: string) => (await allotments.stock(key, [id as SceneId]))[0];
      expect(await stock('x')).toMatchObject({
        total: { packets: 1_000, fen: 10_000n },
        available: { packets: 50, fen: 10_000n },
        low: false,
      });
      for (let left = 45; left > 0; ) left -= (await leaseOf('x', left))!.packets;
      expect(await stock('x')).toMatchObject({
        leased: { packets: 45 },
        available: { packets: 5 },
        low: false,
      });
      const slice = (await leaseOf('x', 1))!;
      expect(await stock('x')).toMatchObject({ available: { packets: 4 }, low: true });
      await allotments.returnTail(slice, 0, slice.fen);
      expect((await stock('x'))!.low).toBe(false);
      expect((await stock('y'))!.low).toBe(false);
      expect(await stock('nobody')).toBeUndefined();
      expect(await stock('/')).toBeUndefined();
    });
  });

  it('knows no line that was never set', async () => {
    expect(await allotments.lease(ask('nobody', 1, 5))).toBeUndefined();
  });
});
