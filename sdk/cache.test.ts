import { expect, it } from 'vitest';
import { createCache } from './cache.ts';

function rig(keepMs: (value: { n: number }) => number) {
  let nowMs = 0;
  let looks = 0;
  const cache = createCache<{ n: number }>({ entriesMax: 2, keepMs, monotonicMs: () => nowMs });
  const look = async () => {
    looks += 1;
    return { n: looks };
  };
  return {
    get: (key: string) => cache.get(key, look).then(({ n }) => n),
    cache,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

it('gives an answer again until its time is over', async () => {
  const { get, pass } = rig(() => 100);
  expect([await get('a'), await get('a')]).toEqual([1, 1]);
  pass(99);
  expect(await get('a')).toBe(1);
  pass(1);
  expect(await get('a')).toBe(2);
});

it('keeps nothing for 0 ms, and everything for good', async () => {
  const never = rig(() => 0);
  expect([await never.get('a'), await never.get('a')]).toEqual([1, 2]);
  const good = rig(({ n }) => (n === 2 ? Number.POSITIVE_INFINITY : 0));
  expect([await good.get('a'), await good.get('a'), await good.get('a')]).toEqual([1, 2, 2]);
  good.pass(1e12);
  expect(await good.get('a')).toBe(2);
});

it('asks once for all who ask at the same moment', async () => {
  const { get } = rig(() => 0);
  expect(await Promise.all([get('a'), get('a'), get('b')])).toEqual([1, 1, 2]);
});

it('gives nobody who comes after a drop what was looked up before it', async () => {
  const { cache } = rig(() => 1_000);
  let answer!: (value: { n: number }) => void;
  const slow = new Promise<{ n: number }>((resolve) => {
    answer = resolve;
  });
  const early = cache.get('a', () => slow);
  cache.drop('a');
  const late = cache.get('a', async () => ({ n: 2 }));
  answer({ n: 1 });
  expect([(await early).n, (await late).n]).toEqual([1, 2]);
  expect((await cache.get('a', async () => ({ n: 3 }))).n).toBe(2);
});

it('keeps no fault, and no more entries than it may', async () => {
  const { get, cache } = rig(() => 1_000);
  await expect(cache.get('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away');
  expect(await get('a')).toBe(1);
  expect([await get('b'), await get('c'), await get('a')]).toEqual([2, 3, 4]);
});
