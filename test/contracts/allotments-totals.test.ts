import { beforeEach, describe, expect, it } from 'vitest';
import type { BudgetSetting, Slice } from '../../src/engines/ports.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { PhaseKey, SceneId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { allotmentsOn, ask, line } from '../support/allotments-stage.ts';
import { postgresKinds } from '../support/postgres.ts';

describe.each(postgresKinds())('totals above the scenes, allotments on %s Postgres', (kind) => {
  const on = allotmentsOn(kind);
  const { random } = on;
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
    on.allotments.lease({ ...ask(id, undefined, packets), phaseKey: key, holder });
  const leftOf = async (id: string) => (await on.lineOf(id, undefined, key)).remaining;
  const drain = async (id: string): Promise<Slice[]> => {
    const slices: Slice[] = [];
    for (let slice = await leaseOf(id, 1_000); slice; slice = await leaseOf(id, 1_000)) slices.push(slice);
    return slices;
  };
  const closed = async (slice: Slice, packets: number) => {
    const fen = slice.packetsFen!.slice(0, packets).reduce((sum, one) => sum + one, 0n) as Fen;
    await on.allotments.fence(slice);
    await on.allotments.close(slice, { packets, fen });
  };
  const sum = (slices: readonly Slice[]) => ({
    packets: slices.reduce((total, one) => total + one.packets, 0),
    fen: slices.reduce((total, one) => total + one.fen, 0n),
  });
  /** Every level is the sum of the scenes that name it. */
  const faults = async () => {
    const { rows } = await on.pool.query<{ scene_id: string }>(
      `SELECT l.scene_id FROM allotment.line l WHERE l.rule = 'level' AND (l.leased_packets, l.leased_fen, l.given_packets, l.given_fen)
       <> (SELECT coalesce(sum(s.leased_packets), 0), coalesce(sum(s.leased_fen), 0), coalesce(sum(s.given_packets), 0), coalesce(sum(s.given_fen), 0)
           FROM allotment.line s WHERE s.phase_key = l.phase_key AND s.rain_id = 0 AND l.scene_id = ANY (s.levels))`,
    );
    return rows.map((row) => row.scene_id);
  };

  it('takes a slice from scene, item, reward and campaign, and gives back to all of them', async () => {
    const above = ['/', '/r', '/r/i'];
    await on.allotments.setBudgets([
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
    await on.allotments.returnTail(slice, 7, tail);
    await on.allotments.returnTail(slice, 7, tail);
    await closed(slice, 4);
    const given = slice.packetsFen!.slice(0, 4).reduce((total, one) => total + one, 0n);
    for (const id of ['x', ...above]) {
      const { total, remaining: left, ...rest } = await on.lineOf(id, undefined, key);
      expect(rest).toMatchObject({ leased: { packets: 0, fen: 0n }, given: { packets: 4, fen: given } });
      expect(left).toEqual({ packets: total.packets - 4, fen: total.fen - given });
    }
  });

  it('gives exactly a common total, whatever many scenes ask for at once', async () => {
    const ids = ['p', 'q', 'r', 's'];
    await on.allotments.setBudgets([
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
    expect((await on.lineOf('/r/i', undefined, key)).leased.packets).toBeLessThanOrEqual(200);
    expect(await faults()).toEqual([]);
  });

  it('leases the biggest number that every total can pay, to the last packet of a fixed amount', async () => {
    await on.allotments.setBudgets([level('/', 1_000, 1_350), scene('x', 100, 10_000, ['/'], 'fixed', 100)]);
    expect(sum(await drain('x'))).toEqual({ packets: 13, fen: 1_300n });
    expect(await leftOf('/')).toEqual({ packets: 987, fen: 50n });
  });

  it('gives the last fen of a total as a smaller packet, once nobody has any of it out', async () => {
    await on.allotments.setBudgets([level('/', 1_000, 250), scene('x', 100, 10_000, ['/'])]);
    const slices = await drain('x');
    expect(sum(slices)).toEqual({ packets: 2, fen: 200n });
    for (const slice of slices) await closed(slice, slice.packets);
    expect(await drain('x')).toMatchObject([{ packets: 1, fen: 50n }]);
    expect(await leftOf('/')).toEqual({ packets: 997, fen: 0n });
  });

  it('counts pieces, and their worth where they are worth something', async () => {
    await on.allotments.setBudgets([
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
    await on.allotments.setBudgets([
      level('/', 80, 100_000),
      scene('x', 1_000, 100_000, ['/']),
      scene('y', 1_000, 100_000, ['/']),
    ]);
    const first = (await leaseOf('x', 500, 'a'))!;
    expect(first.packets).toBe(40);
    // Two who hold of the campaign's total, though of different scenes: a quarter of the 40 that remain.
    expect((await leaseOf('y', 500, 'b'))!.packets).toBe(10);
    await on.allotments.returnTail(first, 0, first.fen);
    // 70 remain, and b alone holds any.
    expect((await leaseOf('y', 500, 'b'))!.packets).toBe(35);
  });

  it('deals for a shorter time from a slice that came out smaller', async () => {
    await on.allotments.setBudgets([scene('x', 100, 1_000, [])]);
    const times = {
      dealFromMs: instantMs(1_000_000),
      dealUntilMs: instantMs(1_060_000),
      grantUntilMs: instantMs(1_070_000),
    };
    const wanting = (packetsWanted: number) =>
      on.allotments.lease({ ...ask('x', undefined, packetsWanted), phaseKey: key, ...times });
    expect(await wanting(10)).toMatchObject({ dealUntilMs: 1_060_000, grantUntilMs: 1_070_000 });
    expect(await wanting(90)).toMatchObject({
      packets: 45,
      dealUntilMs: 1_030_000,
      grantUntilMs: 1_040_000,
    });
  });

  it('counts for a level that is set, dropped or changed later all that its scenes have out and given', async () => {
    await on.allotments.setBudgets([scene('x', 100, 1_000, []), scene('y', 100, 1_000, [])]);
    const given = (await leaseOf('x', 20))!;
    await closed(given, 15);
    const out = [(await leaseOf('x', 10))!, (await leaseOf('y', 30))!];
    const refused = await on.allotments.setBudgets([
      level('/', 54, 10_000),
      scene('x', 100, 1_000, ['/']),
      scene('y', 100, 1_000, ['/']),
    ]);
    expect(refused?.refused).toBe('budget-exhausted');
    expect(
      await on.allotments.setBudgets([
        level('/', 60, 10_000),
        level('/r', 40, 10_000),
        scene('x', 100, 1_000, ['/', '/r']),
        scene('y', 100, 1_000, ['/']),
      ]),
    ).toBeUndefined();
    expect(await on.lineOf('/', undefined, key)).toMatchObject({
      leased: { packets: 40 },
      given: { packets: 15 },
      remaining: { packets: 5 },
    });
    expect((await leftOf('/r')).packets).toBe(15);
    // y moves below /r, which has 15 left and would then have 15 fewer; with more in it, it may.
    const moved = (packets: number) =>
      on.allotments.setBudgets([
        level('/r', packets, 10_000),
        scene('x', 100, 1_000, ['/r']),
        scene('y', 100, 1_000, ['/r']),
      ]);
    expect((await moved(54))?.refused).toBe('budget-exhausted');
    expect(await moved(56)).toBeUndefined();
    expect((await leftOf('/r')).packets).toBe(1);
    expect((await on.allotments.budgets(key)).map(({ sceneId }) => sceneId)).toEqual(['/r', 'x', 'y']);
    for (const slice of out) await closed(slice, 1);
    expect(await on.lineOf('/r', undefined, key)).toMatchObject({
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
    await on.allotments.setBudgets(files[0]!);
    const spend = async (at: number) => {
      for (let turn = 0; turn < 8; turn += 1) {
        const slice = await leaseOf(at % 2 ? 'x' : 'y', 1 + Math.floor(random() * 9), `holder ${at % 4}`);
        if (!slice) continue;
        const dealt = Math.floor(random() * (slice.packets + 1));
        const tail = slice.packetsFen!.slice(dealt).reduce((total, one) => total + one, 0n) as Fen;
        if (random() < 0.5) await on.allotments.returnTail(slice, dealt, tail);
        await closed(slice, Math.floor(dealt * random()));
      }
    };
    const change = async () => {
      for (let turn = 0; turn < 16; turn += 1) await on.allotments.setBudgets(files[turn % files.length]!);
    };
    await Promise.all([...Array.from({ length: 12 }, (_, at) => spend(at)), change()]);
    expect(await faults()).toEqual([]);
    const lines = await on.allotments.budgets(key);
    expect(lines.every(({ leased }) => leased.packets === 0 && leased.fen === 0n)).toBe(true);
    const { rows } = await on.pool.query<{ deadlocks: bigint }>(
      'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
    );
    expect(rows).toEqual([{ deadlocks: 0n }]);
  });

  it('says what a scene has left, and that it is low when any total above it is', async () => {
    await on.allotments.setBudgets([
      level('/', 50, 100_000),
      scene('x', 1_000, 10_000, ['/']),
      scene('y', 40, 4_000, []),
    ]);
    const stock = async (id: string) => (await on.allotments.stock(key, [id as SceneId]))[0];
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
    await on.allotments.returnTail(slice, 0, slice.fen);
    expect((await stock('x'))!.low).toBe(false);
    expect((await stock('y'))!.low).toBe(false);
    expect(await stock('nobody')).toBeUndefined();
    expect(await stock('/')).toBeUndefined();
  });
});
