import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLocalSignals } from '../engines/embedded/signals.ts';
import { type Announcement, decodeAnnouncement, NOTHING_ANNOUNCED } from '../protocol/announcement.ts';
import { createAnnouncementReader } from './announcement-reader.ts';
import { createAnnouncementSeal } from './announcement-seal.ts';

const seal = createAnnouncementSeal(Buffer.alloc(32, 7));
const numbered = (sequence: number, more: Partial<Announcement> = {}): Announcement => ({
  ...NOTHING_ANNOUNCED,
  sequence,
  ...more,
});

describe('an announcement', () => {
  it('is opened by whoever has the key, and by nobody else', () => {
    const envelope = seal.seal(numbered(3, { off: ['book'] }));
    expect(seal.open(envelope)).toEqual(numbered(3, { off: ['book'] }));
    expect(createAnnouncementSeal(randomBytes(32)).open(envelope)).toBeUndefined();
  });

  it('is refused with any bit flipped, cut short or made longer', () => {
    const envelope = seal.seal(numbered(3));
    for (let bit = 0; bit < envelope.length * 8; bit += 1) {
      const bent = Buffer.from(envelope);
      bent[bit >> 3]! ^= 1 << (bit & 7);
      expect(seal.open(bent)).toBeUndefined();
    }
    for (let length = 0; length < envelope.length; length += 1)
      expect(seal.open(envelope.subarray(0, length))).toBeUndefined();
    expect(seal.open(Buffer.concat([envelope, Buffer.from(' ')]))).toBeUndefined();
  });

  it('is never made of anything else, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          const decoded = decodeAnnouncement(bytes);
          return decoded === undefined || decoded.sequence >= 1;
        },
      ),
      { numRuns: 100_000 },
    );
  });
});

describe('a reader of announcements', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-reader-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function reader(ways = [createLocalSignals(), createLocalSignals()]) {
    const applied: number[] = [];
    const made = createAnnouncementReader({
      ways,
      seal,
      file: path.join(folder, 'announcement'),
      apply: (announcement) => {
        if (announcement.off.includes('log')) throw new Error('does not hold up');
        applied.push(announcement.sequence);
      },
      logger: pino({ level: 'silent' }),
    });
    const tell = (at: number, announcement: Announcement) =>
      ways[at]!.publish(seal.seal(announcement), announcement.sequence);
    return { applied, made, tell, ways };
  }

  it('takes the first to come by any way, once, and none that is older', async () => {
    const { applied, made, tell } = reader();
    await made.start();
    await tell(0, numbered(2));
    await tell(1, numbered(2));
    await tell(1, numbered(5));
    await tell(0, numbered(3));
    expect(applied).toEqual([2, 5]);
    expect(made.current().sequence).toBe(5);
  });

  it('takes the newest of what was said before it came', async () => {
    const { applied, made, tell } = reader();
    await tell(0, numbered(4));
    await tell(1, numbered(9));
    await made.start();
    expect(applied.at(-1)).toBe(9);
  });

  it('stays with the last good one when the next does not hold up, and takes the one after it', async () => {
    const { applied, made, tell } = reader();
    await made.start();
    await tell(0, numbered(1));
    await tell(0, numbered(2, { off: ['log'] }));
    await tell(1, numbered(2, { off: ['log'] }));
    expect(made.current().sequence).toBe(1);
    await tell(0, numbered(3));
    expect(applied).toEqual([1, 3]);
  });

  it('has the last good one again after a restart, when nobody tells it anything', async () => {
    const first = reader();
    await first.made.start();
    await first.tell(0, numbered(6, { creditsPerSecond: 50 }));
    const second = reader([]);
    await second.made.start();
    expect(second.made.current()).toEqual(numbered(6, { creditsPerSecond: 50 }));
  });

  it('is not misled by a file or a message of somebody else', async () => {
    writeFileSync(
      path.join(folder, 'announcement'),
      'not an announcement at all, whatever its length may be, no signature',
    );
    const { applied, made, ways } = reader();
    await made.start();
    await ways[0]!.publish(createAnnouncementSeal(randomBytes(32)).seal(numbered(8)), 8);
    await ways[0]!.publish(Buffer.alloc(0), 9);
    expect(applied).toEqual([]);
  });
});
