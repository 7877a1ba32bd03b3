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

it('asks so many at once, so much in one question, and together for what came meanwhile', async () => {
  const asked: (readonly number[])[] = [];
  const answer: (() => void)[] = [];
  const same = gather(
    async (items: readonly number[]) => {
      asked.push(items);
      await new Promise<void>((resolve) => answer.push(resolve));
      return items;
    },
    { itemsMax: 2, atOnce: 2 },
  );
  const answers = Promise.all([1, 2, 3, 4, 5].map(same));
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  expect(asked).toEqual([
    [1, 2],
    [3, 4],
  ]);
  const later = same(6);
  answer[1]!();
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  expect(asked[2]).toEqual([5, 6]);
  for (const end of answer) end();
  expect(await answers).toEqual([1, 2, 3, 4, 5]);
  expect(await later).toBe(6);
});
