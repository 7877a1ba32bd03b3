import { describe, expect, it } from 'vitest';
import { seeded, testSeed } from '../../test/support/orders.ts';
import { planMoves } from './plan-moves.ts';

const placed = (text: string) => new Map([...text].map((shard, bucket) => [bucket, shard] as const));
const counts = (placement: ReadonlyMap<number, string>, shards: readonly string[]) =>
  shards.map((shard) => [...placement.values()].filter((one) => one === shard).length);

describe('planning moves', () => {
  it.each([
    // shards, where the buckets lie, moves (bucket → target)
    ['ab', 'abababab', ''],
    ['ab', 'aaaaaaaa', '4b 5b 6b 7b'],
    ['abc', 'abababab', '6c 7c'],
    ['abc', 'aaaabbbb', '3c 7c'],
    ['abc', 'ab', ''],
    ['abcd', 'aaa', '1b 2c'],
    ['abc', 'abcabca', ''],
  ])('over shards %s where %s becomes even by %j', (shards, placement, moves) => {
    const planned = planMoves([...shards], placed(placement), []);
    expect(planned.map((move) => `${move.bucket}${move.target}`).join(' ')).toBe(moves);
  });

  it('counts moves that are under way as done, and leaves their buckets where they go', () => {
    const pending = [
      { bucket: 0, target: 'c' },
      { bucket: 1, target: 'c' },
    ];
    expect(planMoves(['a', 'b', 'c'], placed('abababab'), pending)).toEqual([]);
    expect(planMoves(['a', 'b'], placed('aaab'), [{ bucket: 3, target: 'a' }])).toEqual([
      { bucket: 1, target: 'b' },
      { bucket: 2, target: 'b' },
    ]);
  });

  it('always ends even, and moves no bucket that need not move', () => {
    const random = seeded(testSeed('planning moves'));
    for (let round = 0; round < 500; round += 1) {
      const shards = [...'abcdefg'].slice(0, 1 + Math.floor(random() * 7));
      const placement = new Map(
        Array.from({ length: 1 + Math.floor(random() * 40) }, (_, bucket) => [
          bucket,
          shards[Math.floor(random() * random() * shards.length)]!,
        ]),
      );
      const before = counts(placement, shards);
      const moves = planMoves(shards, placement, []);
      for (const { bucket, target } of moves) placement.set(bucket, target);
      const after = counts(placement, shards);
      expect(Math.max(...after) - Math.min(...after)).toBeLessThanOrEqual(1);
      const fair = Math.floor(placement.size / shards.length);
      const odd = placement.size % shards.length;
      const due = [...before].sort((a, b) => b - a).map((_, at) => fair + (at < odd ? 1 : 0));
      const least = [...before]
        .sort((a, b) => b - a)
        .reduce((sum, count, at) => sum + Math.max(0, count - due[at]!), 0);
      expect(moves.length).toBe(least);
    }
  });
});
