import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statusOf } from '../support/night.ts';
import { seeded } from '../support/orders.ts';
import { commitsOf, segmentsOf, splitLastSegment } from '../support/segments.ts';
import { NIGHT_WITHIN_MS, playSmallNight, type SmallNight } from '../support/small-night.ts';

/**
 * What a dying disk and a careless hand do to the journal of an engine that was killed with a backlog. It starts from
 * the last good record and says so, or it refuses with cause and remedy and changes nothing; and the auditor, which
 * reads the same bytes with code of its own, says the same.
 */
describe('an engine whose journal was garbled', { timeout: 120_000 }, () => {
  let night: SmallNight;
  let healthy: string;
  let records: number;

  beforeAll(async () => {
    night = await playSmallNight({ seed: 3, backlog: true });
    healthy = night.copy();
    splitLastSegment(healthy, Math.floor(commitsOf(segmentsOf(healthy)[0]!).length / 2));
    const report = await night.audit(healthy);
    expect(report.findings).toEqual([]);
    records = report.checked.records!;
  }, NIGHT_WITHIN_MS);
  afterAll(() => night?.remove());

  const random = seeded(3);
  const noise = (bytes: number) =>
    Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)));

  /** Does the damage, and undoes it when the experiment is over. */
  async function damaged(damage: () => void, experiment: () => Promise<void>): Promise<void> {
    const before = segmentsOf(healthy).map((file) => [file, readFileSync(file)] as const);
    try {
      damage();
      await experiment();
    } finally {
      for (const file of segmentsOf(healthy)) rmSync(file);
      for (const [file, bytes] of before) writeFileSync(file, bytes);
    }
  }

  const last = () => segmentsOf(healthy).at(-1)!;
  const change = (file: string, how: (bytes: Buffer) => Buffer) =>
    writeFileSync(file, how(readFileSync(file)));
  const found = async (): Promise<string[]> =>
    (await night.audit(healthy)).findings.map(({ invariant, what }) => `${invariant} ${what}`);

  const mended: [string, () => void][] = [
    ['garbage behind its end', () => change(last(), (bytes) => Buffer.concat([bytes, noise(300)]))],
    ['zeros behind its end', () => change(last(), (bytes) => Buffer.concat([bytes, Buffer.alloc(4_096)]))],
    ['the end mark of its last commit missing', () => change(last(), (bytes) => bytes.subarray(0, -5))],
    [
      'the beginning of a commit that was being written',
      () =>
        change(last(), (bytes) => {
          const { offset, length } = commitsOf(last()).at(-1)!;
          return Buffer.concat([bytes, bytes.subarray(offset, offset + length - 20)]);
        }),
    ],
  ];
  /** How many records a start finds. */
  async function recordsAtStart(): Promise<number> {
    const engine = await night.start(healthy);
    try {
      return (await statusOf(engine)).end as number;
    } finally {
      await engine.stop();
    }
  }

  it.each(mended)('goes on from the last good record with %s', async (_, damage) => {
    await damaged(damage, async () => {
      expect(await found()).toEqual([]);
      expect(await recordsAtStart()).toBeGreaterThanOrEqual(records);
      expect(await found()).toEqual([]);
    });
  });

  it('goes on without a last commit that is torn in the middle; who was told of it is found missing', async () => {
    const torn = commitsOf(last()).at(-1)!;
    const tear = () =>
      change(last(), (bytes) => bytes.subarray(0, torn.offset + Math.floor(torn.length / 2)));
    await damaged(tear, async () => {
      const before = await found();
      expect(await recordsAtStart()).toBeGreaterThanOrEqual(torn.firstSequence - 1);
      // Only what the crowd wrote down can tell: the disk has forgotten that it ever had it.
      expect(before.every((one) => /^I2 somebody was told "won"|^I8 a credit has no promise/.test(one))).toBe(
        true,
      );
    });
  });

  const flipIn = (file: () => string, commit: number) => () =>
    change(file(), (bytes) => {
      const { offset, length } = commitsOf(file()).at(commit)!;
      const at = offset + 8 + Math.floor(random() * (length - 16));
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
      return bytes;
    });
  const first = () => segmentsOf(healthy)[0]!;
  const refused: [string, () => void, string][] = [
    [
      'a flipped bit in its last commit',
      flipIn(last, -1),
      'a commit that was written in full is not what was written',
    ],
    [
      'a flipped bit in an earlier commit',
      flipIn(last, 0),
      'a commit that was written in full is not what was written',
    ],
    [
      'a flipped bit in an earlier segment',
      flipIn(first, 1),
      'a commit that was written in full is not what was written',
    ],
    [
      'an earlier segment cut short',
      () => change(first(), (bytes) => bytes.subarray(0, -30)),
      'a commit that was written in full',
    ],
    ['its first segment gone', () => rmSync(first()), 'records from 1 on are missing'],
    [
      'another’s segment head',
      () => change(last(), (bytes) => Buffer.concat([noise(16), bytes.subarray(16)])),
      'does not begin as one',
    ],
    [
      'less than was credited',
      () => {
        rmSync(last());
        const { offset } = commitsOf(first()).at(1)!;
        change(first(), (bytes) => bytes.subarray(0, offset));
      },
      'were credited from it',
    ],
  ];
  it.each(refused)('refuses to start with %s, and changes nothing', async (_, damage, cause) => {
    await damaged(damage, async () => {
      expect(await found()).toEqual(expect.arrayContaining([expect.stringMatching(/^format /)]));
      const before = segmentsOf(healthy).map((file) => readFileSync(file));
      const message = await recordsAtStart().then(
        (end) => `it started with ${end} records`,
        (error: Error) => error.message,
      );
      expect(message).toContain(cause);
      expect(message).toContain(path.join(healthy, 'journal'));
      expect(message).toMatch(/copy|backup/i);
      expect(segmentsOf(healthy).map((file) => readFileSync(file))).toEqual(before);
    });
  });

  it('starts again as if nothing had been, once the bytes are back', async () => {
    expect(await recordsAtStart()).toBeGreaterThanOrEqual(records);
    expect(await found()).toEqual([]);
  });
});
