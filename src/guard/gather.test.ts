import { expect, it } from 'vitest';
import { gather } from './gather.ts';

it('asks together for what is asked in one turn, gives each its own answer, and asks anew in the next', async () => {
  const asked: (readonly number[])[] = [];
  const double = gather(async (items: readonly number[]) => {
    asked.push(items);
    if (items.includes(0)) throw new Error('no');
    return items.map((item) => item * 2);
  });
  expect(await Promise.all([1, 2, 2].map(double))).toEqual([2, 4, 4]);
  const failing = await Promise.allSettled([0, 5].map(double));
  expect(failing.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await double(7)).toBe(14);
  expect(asked).toEqual([[1, 2, 2], [0, 5], [7]]);
});
