import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestNats, type TestNats } from '../../../test/support/nats.ts';
import { createMissedWord, type MissedWord } from './missed.ts';

let nats: TestNats;
let owner: MissedWord;
/** What was asked for over the owner's connection has come to the server. */
let ownerIsThere: () => Promise<void>;
let other: MissedWord;
let apart: MissedWord;
beforeAll(async () => {
  nats = await startTestNats();
  const link = await nats.link('owner');
  owner = createMissedWord(link, 'gala');
  ownerIsThere = () => link.nc.flush();
  other = createMissedWord(await nats.link('other'), 'gala');
  apart = createMissedWord(await nats.link('apart'), 'drill');
});
afterAll(() => nats.stop());

it('a bucket’s owner tells the book for those who can’t, and for nobody of another cluster', async () => {
  const torn: number[] = [];
  const deafen = owner.hear(3, async (bucket) => void torn.push(bucket));
  await ownerIsThere();
  await other.tell(3);
  expect(torn).toEqual([3]);
  await expect(other.tell(2)).rejects.toThrow();
  await expect(apart.tell(3)).rejects.toThrow();
  deafen();
  await ownerIsThere();
  await expect(other.tell(3)).rejects.toThrow();
  expect(torn).toEqual([3]);
});

it('an owner who can’t reach the book either says so', async () => {
  const deafen = owner.hear(1, () => Promise.reject(new Error('away')));
  await ownerIsThere();
  await expect(other.tell(1)).rejects.toThrow('can’t reach');
  deafen();
});

it('many who ask at once are told for by one tear', async () => {
  let tears = 0;
  const asked: (() => void)[] = [];
  const deafen = owner.hear(0, async () => {
    tears += 1;
    await new Promise<void>((resolve) => asked.push(resolve));
  });
  await ownerIsThere();
  const all = Promise.all(Array.from({ length: 50 }, () => other.tell(0)));
  await expect.poll(() => asked.length).toBe(1);
  await nats.link('late').then((link) => link.nc.flush());
  asked[0]!();
  // Whoever came after the first tear had ended got a second one; nobody was told without.
  const rest = setInterval(() => {
    for (const end of asked.splice(0)) end();
  }, 5);
  await all;
  clearInterval(rest);
  expect(tears).toBeLessThan(5);
  deafen();
});
