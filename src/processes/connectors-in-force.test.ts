import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, expect, it } from 'vitest';
import { followConnectors } from './connectors-in-force.ts';

const GOOD = readFileSync('examples/connectors.yaml', 'utf8');
const SECRETS = { DRINKS_TOKEN: 'a', CINEMA_SECRET: 'b' };
const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-connectors-'));
const file = path.join(folder, 'connectors.yaml');
afterEach(() => rmSync(file, { force: true }));

function follow(text: string) {
  writeFileSync(file, text);
  const lines: { level: number; report?: string; changed?: string[] }[] = [];
  const logger = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const followed = followConnectors({ file, env: SECRETS, logger });
  return {
    followed,
    lines,
    put(next: string) {
      writeFileSync(file, next);
      followed.look();
    },
  };
}

it('puts a changed file in force; a connector of which nothing changed stays the same object', () => {
  const { followed, put, lines } = follow(GOOD);
  const [shop, cinema, { version }] = [
    followed.entry('drinks-shop'),
    followed.entry('cinema'),
    followed.status(),
  ];
  put(GOOD.replace('perSecondMax: 50', 'perSecondMax: 5'));
  expect(followed.entry('cinema')).toMatchObject({ perSecondMax: 5 });
  expect(followed.entry('cinema')).not.toBe(cinema);
  expect(followed.entry('drinks-shop')).toBe(shop);
  expect(followed.status().version).not.toBe(version);
  put(`# only a comment\n${GOOD.replace('perSecondMax: 50', 'perSecondMax: 5')}`);
  put(GOOD);
  expect(lines.map(({ changed }) => changed)).toEqual([['cinema'], [], ['cinema']]);
  expect(followed.status()).toEqual({ version });
});

it.each([
  [
    'a mistake',
    (text: string) => text.replace('means: fulfilled', 'means: fine'),
    /connectors\.yaml:\d+:\d+/,
  ],
  [
    'a secret that this process has not',
    (text: string) => text.replace('DRINKS_TOKEN', 'OTHER'),
    /OTHER is not set/,
  ],
  ['half a file', (text: string) => text.slice(0, text.length / 2), /connectors\.yaml:\d+:\d+/],
])('refuses a file with %s as a whole, says so once, and keeps the one before', (_, broken, says) => {
  const { followed, put, lines } = follow(GOOD);
  const [shop, { version }] = [followed.entry('drinks-shop'), followed.status()];
  put(broken(GOOD));
  followed.look();
  expect(followed.entry('drinks-shop')).toBe(shop);
  expect(followed.status()).toMatchObject({ version, refused: { report: expect.stringMatching(says) } });
  expect(lines.map(({ level, report }) => [level, says.test(report ?? '')])).toEqual([[50, true]]);
  put(GOOD);
  expect(followed.status()).toEqual({ version });
});

it('keeps what is in force when the file goes away, and starts with none that does not hold up', () => {
  const { followed } = follow(GOOD);
  rmSync(file);
  followed.look();
  expect(followed.entry('cinema')).toBeDefined();
  expect(followed.status().refused?.report).toContain('ENOENT');
  expect(() => follow('connectors: 7')).toThrow(/connectors/);
});

it('looks by itself', async () => {
  writeFileSync(file, GOOD);
  const told = new Promise<void>((resolve) => {
    const logger = pino({ base: null }, { write: () => resolve() });
    const followed = followConnectors({ file, env: SECRETS, logger, lookEveryMs: 5 });
    followed.start();
    writeFileSync(file, `${GOOD}# changed\n`);
    void Promise.resolve().then(async () => {
      await told;
      await followed.stop();
    });
  });
  await told;
});
