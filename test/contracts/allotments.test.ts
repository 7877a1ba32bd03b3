import { describe, expect, it } from 'vitest';
import type { Slice } from '../../src/engines/ports.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import { allotmentsOn, ask, line } from '../support/allotments-stage.ts';
import { postgresKinds } from '../support/postgres.ts';

describe.each(postgresKinds())('allotments on %s Postgres', (kind) => {
  const on = allotmentsOn(kind);
  const { random } = on;
  const remaining = async (scene: string, rain?: number) => (await on.lineOf(scene, rain)).remaining;
  /** Leases until there are so many packets; a single slice is at most half of what is left. */
  const leaseInAll = async (scene: string, rain: number | undefined, packets: number): Promise<Slice[]> => {
    const slices: Slice[] = [];
    for (let left = packets; left > 0; left -= slices.at(-1)!.packets)
      slices.push((await on.allotments.lease(ask(scene, rain, left)))!);
    return slices;
  };

  it('cuts a whole budget into slices that sum to it exactly, and then has nothing', async () => {
    await on.allotments.setBudgets([line('a', undefined, 100_000, 1_000), line('a', 1, 33_333, 100)]);
    const slices: Slice[] = [];
    for (;;) {
      const slice = await on.allotments.lease(ask('a', 1, 7));
      if (!slice) break;
      slices.push(slice);
    }
    const amounts = slices.flatMap((slice) => slice.packetsFen!);
    expect(amounts).toHaveLength(100);
    expect(amounts.reduce((sum, one) => sum + one, 0n)).toBe(33_333n);
    expect(await remaining('a')).toEqual({ packets: 900, fen: 66_667n });
  });

  it('never leases more than is there, with 64 asking at once and everything going back in the end', async () => {
    await on.allotments.setBudgets([line('b', undefined, 50_000, 640), line('b', 1, 50_000, 640)]);
    const spend = async () => {
      for (;;) {
        const slice = await on.allotments.lease(ask('b', 1, 1 + Math.floor(random() * 9)));
        if (!slice) return 0n;
        const dealt = Math.floor(random() * (slice.packets + 1));
        const tail = slice.packetsFen!.slice(dealt).reduce((sum, one) => sum + one, 0n) as Fen;
        if (random() < 0.5) await on.allotments.returnTail(slice, dealt, tail);
        if (random() < 0.3) continue;
        await on.allotments.fence(slice);
        const fen = slice.packetsFen!.slice(0, dealt).reduce((sum, one) => sum + one, 0n) as Fen;
        await on.allotments.close(slice, { packets: dealt, fen });
        await on.allotments.close(slice, { packets: dealt, fen });
      }
    };
    await Promise.all(Array.from({ length: 64 }, spend));
    const { rows } = await on.pool.query(
      "SELECT sum(packets)::bigint AS leased, sum(fen)::bigint AS fen FROM allotment.slice WHERE scene_id = 'b' AND state = 'open'",
    );
    for (const { slice } of await on.allotments.unclosed()) {
      if (slice.sceneId !== 'b') continue;
      await on.allotments.fence(slice);
      await on.allotments.close(slice, { packets: 0, fen: 0n as Fen });
    }
    const given = await on.pool.query(
      "SELECT coalesce(sum(given_packets), 0)::bigint AS packets, coalesce(sum(given_fen), 0)::bigint AS fen FROM allotment.slice WHERE scene_id = 'b'",
    );
    const left = await remaining('b', 1);
    expect(rows[0].leased).toBeDefined();
    expect(BigInt(left.packets) + given.rows[0].packets).toBe(640n);
    expect(left.fen + given.rows[0].fen).toBe(50_000n);
    expect(await remaining('b')).toEqual(left);
  });

  it('keeps where a slice’s fence stands, bucket by bucket', async () => {
    await on.allotments.setBudgets([line('fences', undefined, 100, 10), line('fences', 1, 100, 10)]);
    const slice = (await on.allotments.lease(ask('fences', 1, 4)))!;
    const noted = async () =>
      (await on.allotments.unclosed()).find((one) => one.slice.sliceId === slice.sliceId)?.fencedAt;
    expect(await noted()).toEqual([]);
    await on.allotments.fence(slice);
    for (const places of [[undefined, 7, undefined], [2 ** 40, 7, 1], []]) {
      await on.allotments.noteFences(slice, places);
      expect(await noted()).toEqual(places);
    }
    await on.allotments.noteFences({ ...slice, epoch: slice.epoch + 1 }, [9]);
    expect(await noted()).toEqual([]);
  });

  it('leases by money for a scene whose amounts upstreams name', async () => {
    await on.allotments.setBudgets([line('c', undefined, 1_000, 10, 'given')]);
    expect(await on.allotments.lease(ask('c', undefined, 4, 400n))).toMatchObject({
      packets: 4,
      fen: 400n,
      packetsFen: undefined,
    });
    // Half of what is left; but no less than the grant that waits for it.
    expect(await on.allotments.lease(ask('c', undefined, 40, 900n))).toMatchObject({ packets: 3, fen: 300n });
    const waiting = { ...ask('c', undefined, 40, 900n), fenLeast: 250n as Fen };
    expect(await on.allotments.lease(waiting)).toMatchObject({ packets: 2, fen: 250n });
    expect(await on.allotments.lease(waiting)).toBeUndefined();
    expect(await on.allotments.lease(ask('c', undefined, 1, 50n))).toMatchObject({ packets: 1, fen: 25n });
    expect(await on.allotments.lease(ask('c', undefined, 1, 50n))).toBeUndefined();
  });

  it('stops at the scene’s total even when a round would have more', async () => {
    await on.allotments.setBudgets([
      line('d', undefined, 100, 10),
      line('d', 1, 100, 10),
      line('d', 2, 100, 10),
    ]);
    await leaseInAll('d', 1, 7);
    await leaseInAll('d', 2, 3);
    expect(await on.allotments.lease(ask('d', 2, 10))).toBeUndefined();
    expect(await remaining('d')).toEqual({ packets: 0, fen: 0n });
    expect((await remaining('d', 2)).packets).toBe(7);
  });

  it('raises a total, refuses one below what is out, and stops loudly when a slice gave too much', async () => {
    await on.allotments.setBudgets([line('e', undefined, 100, 10)]);
    const [slice] = await leaseInAll('e', undefined, 8);
    expect(await on.allotments.setBudgets([line('e', undefined, 200, 20)])).toBeUndefined();
    expect((await on.allotments.setBudgets([line('e', undefined, 100, 7)]))?.refused).toBe(
      'budget-exhausted',
    );
    await on.allotments.fence(slice!);
    await expect(on.allotments.close(slice!, { packets: 6, fen: 1n as Fen })).rejects.toThrow('I4 is broken');
  });

  it('refuses a change that would leave a round with what can’t be cut, and changes nothing then', async () => {
    await on.allotments.setBudgets([line('f', undefined, 100_000, 1_000), line('f', 1, 1_000, 100)]);
    await leaseInAll('f', 1, 99);
    const refusal = await on.allotments.setBudgets([
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

  it('keeps a round as the newest file has it, whoever still runs on an older one', async () => {
    const round = (version: number, packets: number) => ({ ...line('v', 1, 10_000, packets), version });
    await on.allotments.setBudgets([line('v', undefined, 100_000, 1_000), round(1, 200)]);
    await on.allotments.setBudgets([round(2, 100)]);
    for (const stale of [round(1, 200), round(1, 50)])
      expect(await on.allotments.setBudgets([stale])).toBeUndefined();
    expect(await remaining('v', 1)).toMatchObject({ packets: 100 });
    // The newest one may say what an older one has said, and still is the newest.
    await on.allotments.setBudgets([round(4, 100)]);
    await on.allotments.setBudgets([round(3, 200)]);
    expect(await remaining('v', 1)).toMatchObject({ packets: 100 });
    await on.allotments.setBudgets([round(5, 150)]);
    expect(await remaining('v', 1)).toMatchObject({ packets: 150 });
  });

  it('leases what can be paid from a total whose packets can’t carry all of its money', async () => {
    await on.allotments.setBudgets([line('g', undefined, 1_000, 100)]);
    await leaseInAll('g', undefined, 98);
    await on.allotments.setBudgets([line('g', undefined, 9_000, 100)]);
    for (const _ of [1, 2])
      expect(await on.allotments.lease(ask('g', undefined, 5))).toMatchObject({ packets: 1, fen: 1_000n });
    expect(await on.allotments.lease(ask('g', undefined, 5))).toBeUndefined();
    await on.allotments.setBudgets([line('h', undefined, 1_000, 100)]);
    await leaseInAll('h', undefined, 99);
    await on.allotments.setBudgets([line('h', undefined, 1_000, 2_000)]);
    const thin = await leaseInAll('h', undefined, 10);
    expect(thin.flatMap(({ packetsFen }) => packetsFen!)).toEqual(Array(10).fill(1n));
    expect(await on.allotments.lease(ask('h', undefined, 1_891))).toBeUndefined();
  });

  it('knows no line that was never set', async () => {
    expect(await on.allotments.lease(ask('nobody', 1, 5))).toBeUndefined();
  });
});
