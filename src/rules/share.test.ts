import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutDoubleMean } from './cut.ts';
import { type Amount, dealSpanMs, fairPart, type OwnLine, type PayingLine, shareOf } from './share.ts';

const amount = (packets: number, fen: number): Amount => ({ packets: BigInt(packets), fen: BigInt(fen) });
const line = (packets: number, fen: number, holders = 1, leasedFen = 0): PayingLine => ({
  remaining: amount(packets, fen),
  leased: amount(0, leasedFen),
  holders,
});
const own = (rule: OwnLine['rule'], packets: number, fen: number, capFen = 1_000): OwnLine => ({
  rule,
  capFen: BigInt(capFen),
  remaining: amount(packets, fen),
});
const share = (one: OwnLine, above: PayingLine[], packets: number) =>
  shareOf(one, [{ remaining: one.remaining, leased: amount(0, 0), holders: 1 }, ...above], {
    packets: BigInt(packets),
  });

describe('the share of a lease', () => {
  type Above = readonly (readonly [packets: number, fen: number, leasedFen?: number])[];
  type Row = readonly [OwnLine['rule'], number, number, Above, number, readonly [number, number] | undefined];
  it.each<Row>([
    // rule, packets, fen; above: packets, fen, fen that are out; wanted; leased
    ['split', 1_000, 100_000, [], 10, [10, 1_000]],
    ['split', 10, 1_000, [], 10, [5, 500]], // half of what is left
    ['split', 1, 100, [], 10, [1, 100]],
    ['split', 1_000, 100_000, [[5, 100_000]], 10, [3, 300]], // the packets of a total above
    ['split', 1_000, 100_000, [[1_000, 750]], 10, [3, 300]], // its money: half of 750 pays for three
    ['split', 1_000, 100_000, [[1_000, 60]], 10, [1, 60]], // less than a packet, and the last of it
    ['split', 1_000, 100_000, [[1_000, 60, 40]], 10, undefined], // some of it may come back
    ['split', 1_000, 100_000, [[0, 60]], 10, undefined],
    ['fixed', 100, 10_000, [[1_000, 150]], 10, [1, 100]],
    ['fixed', 100, 10_000, [[1_000, 99]], 10, undefined],
    ['piece', 100, 0, [[1_000, 0]], 10, [10, 0]],
    ['split', 100, 30, [], 100, [15, 15]], // less than a fen each: 1 fen packets
  ] as const)(
    '%s, %d packets of %d fen, above %j, wants %d: %j',
    (rule, packets, fen, above, wanted, leased) => {
      const cap = rule === 'piece' ? 0 : 1_000;
      expect(
        share(
          own(rule, packets, fen, cap),
          above.map(([p, f, out]) => line(p, f, 1, out)),
          wanted,
        ),
      ).toEqual(leased && amount(leased[0], leased[1]));
    },
  );

  it('is the biggest that every line can pay, and can be cut, and what stays can be cut again', () => {
    const paying = fc.record({
      packets: fc.integer({ min: 1, max: 60 }),
      fen: fc.integer({ min: 0, max: 3_000 }),
      holders: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 50, max: 200 }),
        fc.array(paying, { maxLength: 3 }),
        fc.integer({ min: 1, max: 80 }),
        (packets, mean, cap, above, wanted) => {
          const line0 = own('split', packets, packets * mean, cap);
          const lines = [
            { remaining: line0.remaining, leased: amount(0, 1), holders: 1 },
            ...above.map((one) => line(one.packets, one.fen, one.holders, 1)),
          ];
          const found = shareOf(line0, lines, { packets: BigInt(wanted) });
          const pays = (n: bigint, limits: readonly Amount[]) =>
            limits.every(({ packets: p, fen }) => n <= p && n * BigInt(mean) <= fen);
          const most = (limits: readonly Amount[], bound: number) => {
            for (let n = BigInt(bound); n > 0n; n -= 1n) if (pays(n, limits)) return n;
            return 0n;
          };
          const expected =
            most(lines.map(fairPart), wanted) ||
            most(
              lines.map(({ remaining }) => remaining),
              1,
            );
          expect(found?.packets ?? 0n).toBe(expected);
          if (!found) return;
          expect(found.fen).toBe(expected * BigInt(mean));
          expect(
            cutDoubleMean(found.fen, Number(found.packets), line0.capFen, (below) => below - 1n),
          ).toHaveLength(Number(found.packets));
        },
      ),
    );
  });

  it('spends a scene to the last packet and fen, however many hold and whatever they want', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 0, max: 5_000 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 9 })), { minLength: 1 }),
        (packets, over, asks) => {
          let left = amount(packets, packets + Math.min(over, packets * 19));
          for (let turn = 0; left.packets > 0n; turn += 1) {
            const [wanted, holders] = asks[turn % asks.length]!;
            const taken = shareOf(
              { rule: 'split', capFen: 20n, remaining: left },
              [{ remaining: left, leased: amount(0, 0), holders }],
              { packets: BigInt(wanted) },
            )!;
            expect(taken.packets).toBeGreaterThan(0n);
            left = { packets: left.packets - taken.packets, fen: left.fen - taken.fen };
            expect(left.fen).toBeGreaterThanOrEqual(left.packets);
            expect(left.fen).toBeLessThanOrEqual(left.packets * 20n);
          }
          expect(left.fen).toBe(0n);
        },
      ),
    );
  });

  it('is of a named amount as much money as is fair, but enough for the grant that waits', () => {
    const given = own('given', 100, 1_000);
    const lines = [line(100, 1_000, 2)];
    const ask = (fen: bigint, fenLeast?: bigint) =>
      shareOf(given, lines, { packets: 10n, fen, ...(fenLeast === undefined ? {} : { fenLeast }) });
    expect(ask(100n)).toEqual(amount(10, 100));
    expect(ask(900n)).toEqual(amount(10, 250));
    expect(ask(900n, 800n)).toEqual(amount(10, 800));
    expect(ask(900n, 1_001n)).toBeUndefined();
  });
});

describe('the fair part of a line', () => {
  it.each([
    [1, 1, 1],
    [2, 1, 1],
    [3, 1, 2],
    [100, 1, 50],
    [100, 64, 1],
    [1_000, 64, 8],
  ])('of %d packets, with %d who hold, is %d', (remaining, holders, most) => {
    expect(fairPart({ remaining: amount(remaining, remaining), holders })).toEqual(amount(most, most));
  });

  it('leaves at least half in the line when everybody has leased once', () => {
    for (const holders of [1, 2, 7, 64, 640]) {
      let left = 1_000_000n;
      for (let nth = 1; nth <= holders; nth += 1)
        left -= fairPart({ remaining: { packets: left, fen: left }, holders }).packets;
      expect(left).toBeGreaterThanOrEqual(500_000n);
    }
  });
});

describe('how long is dealt from a slice', () => {
  it.each([
    [60_000, 100, 100, 60_000],
    [60_000, 50, 100, 30_000],
    [60_000, 1, 100, 5_000],
    [2_000, 1, 100, 2_000],
    [60_000, 200, 100, 60_000],
  ])('of %d ms, %d of %d packets: %d ms', (span, got, wanted, ms) => {
    expect(dealSpanMs(span, got, wanted)).toBe(ms);
  });
});
