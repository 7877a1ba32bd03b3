import { spawn } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { aBatch, peopleOf, upTo } from '../../../../test/support/batches.ts';
import type { GrantLog, LogRecord } from '../../ports.ts';
import { type JournalFiles, nodeFiles } from './files.ts';
import { JournalDamaged, type JournalOptions, openJournal } from './index.ts';

const fault = (code: string) => Object.assign(new Error(code), { code });
/** For tests of what is read: nothing is waited for. */
const unsynced: JournalFiles = {
  ...nodeFiles,
  datasync: async () => {},
  syncFolder: async () => {},
};

describe('the journal', () => {
  let folder: string;
  let opened: GrantLog[] = [];
  let said: Record<string, unknown>[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void said.push(JSON.parse(line)) });

  const open = async (options: Partial<JournalOptions> = {}) => {
    const told: LogRecord[] = [];
    const onRecord = (record: LogRecord) => void told.push(record);
    const log = await openJournal({ folder, logger, onRecord, ...options });
    opened.push(log);
    return { log, told };
  };
  const segments = () =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.seg'))
      .sort()
      .map((name) => path.join(folder, name));
  /** Writes these batches and closes; the bytes of the only segment. */
  const written = async (...batches: number[][]): Promise<Buffer> => {
    const { log } = await open({ files: unsynced });
    for (const people of batches) await log.append(aBatch(people));
    await log.close();
    return readFileSync(segments()[0]!);
  };
  const replaceSegment = (bytes: Buffer) => writeFileSync(segments()[0]!, bytes);

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-journal-'));
    said = [];
  });
  afterEach(async () => {
    for (const log of opened) await log.close();
    opened = [];
    rmSync(folder, { recursive: true, force: true });
  });

  describe('cut off or altered', () => {
    it('opens to the last good record when its end is missing, wherever it was cut', async () => {
      const whole = await written([1, 2], [3], [4, 5, 6]);
      for (let length = 0; length < whole.length; length += 1) {
        replaceSegment(whole.subarray(0, length));
        const cut = await open({ files: unsynced });
        const people = peopleOf(cut.told);
        expect([[], [1, 2], [1, 2, 3], [1, 2, 3, 4, 5, 6]]).toContainEqual(people);
        expect(await cut.log.append(aBatch([77]))).toBe(cut.told.length + 1);
        await cut.log.close();
        const again = await open({ files: unsynced });
        expect(peopleOf(again.told)).toEqual([...people, 77]);
        await again.log.close();
      }
    });

    it('never tells a wrong record when any one bit flips: it refuses, or it has everything', async () => {
      const whole = await written([1, 2], [3]);
      const refusedAt = new Set<number>();
      for (let bit = 0; bit < whole.length * 8; bit += 1) {
        const bytes = Buffer.from(whole);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        replaceSegment(bytes);
        try {
          const { log, told } = await open({ files: unsynced });
          expect(peopleOf(told)).toEqual([1, 2, 3]);
          await log.close();
        } catch (error) {
          expect(error).toBeInstanceOf(JournalDamaged);
          expect(readFileSync(segments()[0]!).equals(bytes)).toBe(true);
          refusedAt.add(bit >> 3);
        }
      }
      // Everything but the last frame's end, which is written again: 8 bytes.
      expect(refusedAt.size).toBe(whole.length - 8);
    });

    it('refuses a flipped bit in the last promise even when a torn commit follows it', async () => {
      // Records of one length.
      const whole = await written([1], [2], [4]);
      const last = whole.length - Math.floor((whole.length - 16) / 3);
      for (let at = 16; at < last; at += 1) {
        const bytes = Buffer.from(whole.subarray(0, whole.length - 20));
        bytes[at]! ^= 0x10;
        replaceSegment(bytes);
        await expect(open({ files: unsynced })).rejects.toBeInstanceOf(JournalDamaged);
      }
    });

    it.each([
      ['zeros', Buffer.alloc(5_000)],
      ['noise', Buffer.from('not a frame, and no end of one either')],
      ['half a frame', Buffer.from([0, 0, 1, 0, 9, 9, 9, 9, 1, 2, 3])],
    ])('cuts %s behind its end and says so', async (_, tail) => {
      const whole = await written([1, 2]);
      appendFileSync(segments()[0]!, tail);
      const { told } = await open();
      expect(peopleOf(told)).toEqual([1, 2]);
      expect(said).toMatchObject([{ level: 40, atByte: whole.length, cutBytes: tail.length }]);
      expect(readFileSync(segments()[0]!).equals(whole)).toBe(true);
    });

    it('refuses a missing segment, a copy of one, and a mark that is ahead of it', async () => {
      const { log } = await open({ segmentBytesMax: 1 });
      for (const person of upTo(4)) await log.append(aBatch([person]));
      await log.acknowledge(4);
      await log.close();
      const [first, second, third, fourth] = segments() as [string, string, string, string];
      const saved = readFileSync(second);
      rmSync(second);
      await expect(open()).rejects.toThrow('records from 2 on are missing');
      writeFileSync(second, saved);
      const savedThird = readFileSync(third);
      copyFileSync(first, third);
      await expect(open()).rejects.toThrow(JournalDamaged);
      writeFileSync(third, savedThird);
      rmSync(fourth);
      await expect(open()).rejects.toThrow('it ends with record 3, but records up to 4 were credited');
      writeFileSync(path.join(folder, 'drained'), 'no mark');
      expect((await open()).log.drained()).toBe(0);
    });

    it('does not believe the disk when it changes after the opening', async () => {
      const whole = await written([1, 2], [3]);
      const { log } = await open();
      const bytes = Buffer.from(whole);
      bytes[bytes.indexOf('cash')]! ^= 1;
      replaceSegment(bytes);
      await expect(log.at(1)).rejects.toBeInstanceOf(JournalDamaged);
      expect(peopleOf([await log.at(2)])).toEqual([3]);
    });

    it('writes its last commit again and fsyncs it before it believes it', async () => {
      const whole = await written([1], [2]);
      const seen: string[] = [];
      const files: JournalFiles = {
        ...nodeFiles,
        write: (file, bytes, at) => {
          seen.push(`write ${bytes.length} at ${at}`);
          return nodeFiles.write(file, bytes, at);
        },
        datasync: (file) => {
          seen.push('fsync');
          return nodeFiles.datasync(file);
        },
      };
      await open({ files });
      const frame = (whole.length - 16) / 2;
      expect(seen).toEqual([`write ${frame} at ${16 + frame}`, 'fsync']);
      await opened.pop()!.close();
      const broken = { ...nodeFiles, datasync: () => Promise.reject(fault('EIO')) };
      await expect(open({ files: broken })).rejects.toThrow('EIO');
    });
  });

  describe('when it commits', () => {
    it('answers nobody before the fsync, and lets all who came meanwhile share the next one', async () => {
      let fsyncs = 0;
      let release = () => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      const files: JournalFiles = {
        ...nodeFiles,
        async datasync(file) {
          fsyncs += 1;
          if (fsyncs === 3) await held;
          return nodeFiles.datasync(file);
        },
      };
      const { log } = await open({ files });
      await log.append(aBatch([1]));
      expect(fsyncs).toBe(2); // the segment's own, and the commit's
      let answered = 0;
      const first = log.append(aBatch([2])).then(() => (answered += 1));
      await vi.waitFor(() => expect(fsyncs).toBe(3));
      const rest = upTo(1_000).map((person) => log.append(aBatch([person + 2])).then(() => (answered += 1)));
      await new Promise(setImmediate);
      expect([answered, log.end()]).toEqual([0, 1]);
      release();
      await Promise.all([first, ...rest]);
      expect([fsyncs, log.end()]).toEqual([4, 1_002]);
    });

    it('makes the name of a new segment durable before it answers', async () => {
      const seen: string[] = [];
      const files: JournalFiles = {
        ...nodeFiles,
        syncFolder: async (which) => void seen.push(path.basename(which)),
      };
      const { log } = await open({ files, segmentBytesMax: 1 });
      await log.append(aBatch([1]));
      await log.append(aBatch([2]));
      expect(seen).toEqual([path.basename(folder), path.basename(folder)]);
    });

    it('refuses a batch that could not be read back, and goes on', async () => {
      const { log } = await open();
      await expect(log.append({ ...aBatch([1]), tokens: [] })).rejects.toThrow(RangeError);
      await expect(log.append({ ...aBatch([1]), orders: [] })).rejects.toThrow(RangeError);
      expect(await log.append(aBatch([2]))).toBe(1);
    });
  });

  describe('when the disk fails', () => {
    /** A disk that can be filled: half of what is written still fits. */
    const fillable = () => {
      const disk = { full: false, truncates: true };
      const files: JournalFiles = {
        ...nodeFiles,
        async write(file, bytes, position) {
          if (!disk.full) return nodeFiles.write(file, bytes, position);
          await nodeFiles.write(file, bytes.subarray(0, bytes.length - 3), position);
          throw fault('ENOSPC');
        },
        truncate: (file, length) =>
          disk.truncates ? nodeFiles.truncate(file, length) : Promise.reject(fault('EIO')),
      };
      return { disk, files };
    };

    it.each([64 << 20, 1])(
      'refuses while it is full, keeps what it has, and never reads what it refused (segments of %i bytes)',
      async (segmentBytesMax) => {
        const { disk, files } = fillable();
        const { log } = await open({ files, segmentBytesMax });
        await log.append(aBatch([1]));
        disk.full = true;
        await expect(log.append(aBatch([2]))).rejects.toMatchObject({ kind: 'log-unavailable' });
        expect(log.health()).toMatchObject({ accepting: false, reason: expect.stringContaining('ENOSPC') });
        disk.full = false;
        expect(await log.append(aBatch([3]))).toBe(2);
        expect(log.health()).toEqual({ accepting: true });
        disk.full = true;
        await expect(log.append(aBatch([4]))).rejects.toMatchObject({ kind: 'log-unavailable' });
        await log.close();
        expect(peopleOf((await open()).told)).toEqual([1, 3]);
      },
    );

    it('finds out by itself that there is room again', async () => {
      const { disk, files } = fillable();
      const { log } = await open({ files, probeIntervalMs: 5 });
      await log.append(aBatch([1]));
      const length = readFileSync(segments()[0]!).length;
      disk.full = true;
      await expect(log.append(aBatch([2]))).rejects.toMatchObject({ kind: 'log-unavailable' });
      disk.full = false;
      await vi.waitFor(() => expect(log.health()).toEqual({ accepting: true }));
      expect(readFileSync(segments()[0]!).length).toBe(length);
    });

    it('calls the outcome unknown and stops when a refused write can not even be undone', async () => {
      const { disk, files } = fillable();
      const { log } = await open({ files });
      await log.append(aBatch([1]));
      disk.full = true;
      disk.truncates = false;
      await expect(log.append(aBatch([2]))).rejects.toMatchObject({ kind: 'outcome-unknown' });
      disk.full = false;
      await expect(log.append(aBatch([3]))).rejects.toMatchObject({ kind: 'log-unavailable' });
      expect(log.health().reason).toContain('restart');
    });

    it('never writes again after an fsync failed, and says that the outcome is unknown', async () => {
      let broken = false;
      const files: JournalFiles = {
        ...nodeFiles,
        datasync: (file) => (broken ? Promise.reject(fault('EIO')) : nodeFiles.datasync(file)),
      };
      const { log } = await open({ files });
      await log.append(aBatch([1]));
      broken = true;
      const inFlight = [log.append(aBatch([2])), log.append(aBatch([3]))];
      for (const one of inFlight) await expect(one).rejects.toMatchObject({ kind: 'outcome-unknown' });
      broken = false;
      await expect(log.append(aBatch([4]))).rejects.toMatchObject({ kind: 'log-unavailable' });
      expect(log.health().reason).toContain('restart');
      expect(log.end()).toBe(1);
    });
  });

  describe('its lock', () => {
    const lock = () => path.join(folder, 'writer.lock');
    const ticksOf = (pid: number) => {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    };

    it('lets a process open it once', async () => {
      await open();
      await expect(open()).rejects.toThrow('open already');
    });

    it.runIf(existsSync('/proc/self/stat'))(
      'names another living process that has it, and takes over when that one is dead',
      async () => {
        const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { stdio: 'ignore' });
        writeFileSync(lock(), `${other.pid} ${ticksOf(other.pid!)}`);
        await expect(open()).rejects.toThrow(`process ${other.pid}`);
        // The same pid, but another process: the number was used again.
        writeFileSync(lock(), `${other.pid} 1`);
        await (await open()).log.close();
        writeFileSync(lock(), `${other.pid} ${ticksOf(other.pid!)}`);
        const died = new Promise((resolve) => other.once('exit', resolve));
        other.kill('SIGKILL');
        await died;
        await open();
        expect(readFileSync(lock(), 'utf8').split(' ')[0]).toBe(String(process.pid));
      },
    );
  });
});
