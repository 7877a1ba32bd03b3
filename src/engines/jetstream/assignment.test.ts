import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Assignment, emptyAssignment, takeTurn, withoutMember } from './assignment.ts';

const NOBODY: ReadonlySet<string> = new Set();

interface Local {
  leaving: boolean;
  closing: Set<number>;
  released: Set<number>;
}

/** Members who take turns on one document, as the shell does, without servers and without time. */
function aTable(buckets: number) {
  let now: Assignment = emptyAssignment(buckets);
  const locals = new Map<string, Local>();
  const localOf = (me: string): Local => {
    const local = locals.get(me) ?? { leaving: false, closing: new Set(), released: new Set() };
    locals.set(me, local);
    return local;
  };
  return {
    now: () => now,
    turn(me: string, dead = NOBODY): void {
      const local = localOf(me);
      const busy = new Set([...local.closing, ...local.released]);
      const move = takeTurn(now, {
        me,
        leaving: local.leaving,
        dead,
        released: local.released,
        busy,
        epochsSeen: new Map(),
      });
      now = move.next;
      local.released = new Set();
      for (const bucket of move.surplus) local.closing.add(bucket);
    },
    finishClosing(me: string): void {
      const local = localOf(me);
      local.released = local.closing;
      local.closing = new Set();
    },
    leave(me: string): void {
      localOf(me).leaving = true;
    },
    strike(me: string): void {
      now = withoutMember(now, me);
      locals.delete(me);
    },
    held: (me: string): number => now.owners.filter((one) => one.holder === me).length,
  };
}

describe('who owns which bucket', () => {
  it('is spread evenly: a newcomer gets its share, and no more is moved than that', () => {
    const table = aTable(16);
    table.turn('a');
    expect(table.held('a')).toBe(16);
    table.turn('b');
    expect(table.held('b')).toBe(0);
    table.turn('a');
    table.finishClosing('a');
    table.turn('a');
    table.turn('b');
    expect([table.held('a'), table.held('b')]).toEqual([8, 8]);
    const before = table.now();
    for (const me of ['c', 'a', 'b']) table.turn(me);
    for (const me of ['a', 'b']) table.finishClosing(me);
    for (const me of ['a', 'b', 'c']) table.turn(me);
    expect([table.held('a'), table.held('b'), table.held('c')].sort()).toEqual([5, 5, 6]);
    const moved = table.now().owners.filter((one, bucket) => one.holder !== before.owners[bucket]!.holder);
    expect(moved.length).toBe(table.held('c'));
  });

  it('frees what the dead and those who leave have held, under a higher epoch', () => {
    const table = aTable(4);
    table.turn('a');
    table.turn('b', new Set(['a']));
    expect(table.now().owners).toEqual(Array.from({ length: 4 }, () => ({ holder: 'b', epoch: 2 })));
    table.leave('b');
    table.turn('b');
    table.finishClosing('b');
    table.turn('b');
    table.strike('b');
    expect(table.now()).toMatchObject({ members: {}, owners: [{ holder: undefined, epoch: 2 }, {}, {}, {}] });
    table.turn('c');
    expect(table.now().owners[3]).toEqual({ holder: 'c', epoch: 3 });
  });

  it('goes above an epoch that was seen elsewhere, should the document ever be lost', () => {
    const move = takeTurn(emptyAssignment(2), {
      me: 'a',
      leaving: false,
      dead: NOBODY,
      released: new Set(),
      busy: new Set(),
      epochsSeen: new Map([[1, 40]]),
    });
    expect([...move.mine]).toEqual([
      [0, 1],
      [1, 41],
    ]);
  });

  it('never lowers an epoch, never gives one twice, and comes to rest evenly, whatever happens', () => {
    const step = fc.record({
      what: fc.constantFrom('turn', 'turn', 'turn', 'finish', 'die', 'leave'),
      who: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 60 }), (buckets, steps) => {
        const table = aTable(buckets);
        const given = new Map<string, string>();
        const check = (before: Assignment) => {
          for (const [bucket, { holder, epoch }] of table.now().owners.entries()) {
            expect(epoch).toBeGreaterThanOrEqual(before.owners[bucket]!.epoch);
            if (holder === undefined) continue;
            const key = `${bucket} ${epoch}`;
            expect(given.get(key) ?? holder).toBe(holder);
            given.set(key, holder);
          }
        };
        for (const { what, who } of steps) {
          const before = table.now();
          if (what === 'turn') table.turn(who);
          if (what === 'finish') table.finishClosing(who);
          if (what === 'leave') table.leave(who);
          if (what === 'die') table.strike(who);
          check(before);
        }
        table.strike('e');
        for (let round = 0; round < 6; round += 1) {
          for (const who of ['f', 'g', 'h', ...Object.keys(table.now().members)]) {
            table.turn(who);
            table.finishClosing(who);
          }
        }
        const staying = Object.entries(table.now().members).filter(([, one]) => !one.leaving);
        const counts = staying.map(([id]) => table.held(id));
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        expect(counts.reduce((sum, one) => sum + one, 0)).toBe(buckets);
      }),
      { numRuns: 80 },
    );
  });
});
