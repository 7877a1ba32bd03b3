import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type JournalFiles, nodeFiles } from '../../src/engines/embedded/journal/files.ts';
import { JournalDamaged, openJournal } from '../../src/engines/embedded/journal/index.ts';
import type { GrantLog, LogRecord, MicroBatch } from '../../src/engines/ports.ts';
import type { SliceId } from '../../src/vocabulary/ids.ts';
import { anOrder, seeded, testSeed } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';

const batch = (people: readonly number[]): MicroBatch => ({
  orders: people.map((person) => anOrder({ person })),
  seal: {
    keyId: 1,
    nonce: Buffer.alloc(8, people[0]),
    signature: Buffer.alloc(64, 9),
    ciphertexts: people.map((person) => Buffer.alloc(40, person % 251)),
  },
});
const peopleOf = (records: readonly LogRecord[]): number[] =>
  records.flatMap((record) =>
    record.kind === 'grants' ? record.orders.map((order) => Number(order.actId) - 1_000_000) : [],
  );

describe('the journal', () => {
  let folder: string;
  let log: GrantLog | undefined;
  const open = async (options: { files?: JournalFiles; segmentBytesMax?: number; at?: string } = {}) => {
    const told: LogRecord[] = [];
    log = await openJournal({
      folder: options.at ?? folder,
      logger: quiet,
      onRecord: (record) => told.push(record),
      ...options,
    });
    return { log, told };
  };

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-journal-'));
  });
  afterEach(async () => {
    await log?.close();
    log = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  it('gives back what was appended, in order, over segments and a restart', async () => {
    const first = await open({ segmentBytesMax: 2_000 });
    const sequences = await Promise.all(
      Array.from({ length: 50 }, (_, at) => first.log.append(batch([at + 1, at + 101]))),
    );
    expect(sequences).toEqual(Array.from({ length: 50 }, (_, at) => at + 1));
    expect(await first.log.appendFence({ sliceId: 9n as SliceId, epoch: 2 })).toBe(51);
    const before = await first.log.read(0, 1_000);
    await first.log.acknowledge(20);
    await first.log.close();
    expect(readdirSync(folder).filter((name) => name.endsWith('.seg')).length).toBeGreaterThan(1);
    const second = await open({ segmentBytesMax: 2_000 });
    expect(second.told).toEqual(before);
    expect(await second.log.read(0, 1_000)).toEqual(before);
    expect(await second.log.at(51)).toEqual({ kind: 'fence', sequence: 51, sliceId: 9n, epoch: 2 });
    expect([second.log.drained(), second.log.end()]).toEqual([20, 51]);
    expect(peopleOf(await second.log.read(10, 4))).toEqual([11, 111, 12, 112]);
  });

  it('wakes who waits for more', async () => {
    const { log } = await open();
    const waiting = log.beyond(0, new AbortController().signal);
    await log.append(batch([1]));
    await waiting;
    const given = new AbortController();
    const stopped = log.beyond(1, given.signal);
    given.abort();
    await stopped;
  });

  it('lets only one process write', async () => {
    await open();
    await expect(openJournal({ folder, logger: quiet })).rejects.toThrow('open already');
  });

  it('opens to the last good record when its end is cut off, wherever that is', async () => {
    const { log: writer } = await open();
    for (const people of [[1, 2], [3], [4, 5, 6]]) await writer.append(batch(people));
    await writer.close();
    const [name] = readdirSync(folder).filter((one) => one.endsWith('.seg'));
    const whole = readFileSync(path.join(folder, name!));
    const all = [1, 2, 3, 4, 5, 6];
    for (let length = 0; length < whole.length; length += 1) {
      const at = mkdtempSync(path.join(tmpdir(), 'hongbao-cut-'));
      writeFileSync(path.join(at, name!), whole.subarray(0, length));
      const cut = await open({ at });
      const people = peopleOf(cut.told);
      expect(all.slice(0, people.length)).toEqual(people);
      expect(await cut.log.append(batch([77]))).toBe(cut.told.length + 1);
      await cut.log.close();
      const again = await open({ at });
      expect(peopleOf(again.told)).toEqual([...people, 77]);
      await again.log.close();
      rmSync(at, { recursive: true });
    }
    log = undefined;
  });

  it('never reads a wrong record when a bit flips, wherever that is: it refuses, or it has everything', async () => {
    const { log: writer } = await open();
    for (const people of [[1, 2], [3]]) await writer.append(batch(people));
    await writer.close();
    log = undefined;
    const [name] = readdirSync(folder).filter((one) => one.endsWith('.seg'));
    const whole = readFileSync(path.join(folder, name!));
    let refused = 0;
    for (let at = 0; at < whole.length; at += 1) {
      const copy = mkdtempSync(path.join(tmpdir(), 'hongbao-flip-'));
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 1 << (at % 8);
      writeFileSync(path.join(copy, name!), bytes);
      try {
        const opened = await open({ at: copy });
        expect(peopleOf(opened.told)).toEqual([1, 2, 3]);
        await opened.log.close();
      } catch (error) {
        expect(error).toBeInstanceOf(JournalDamaged);
        expect(readFileSync(path.join(copy, name!)).equals(bytes)).toBe(true);
        refused += 1;
      }
      log = undefined;
      rmSync(copy, { recursive: true });
    }
    expect(refused).toBeGreaterThan(whole.length * 0.9);
  });

  it('refuses a missing segment and a copy of one', async () => {
    const { log: writer } = await open({ segmentBytesMax: 500 });
    for (let at = 1; at <= 12; at += 1) await writer.append(batch([at]));
    await writer.close();
    log = undefined;
    const names = readdirSync(folder)
      .filter((name) => name.endsWith('.seg'))
      .sort();
    const saved = readFileSync(path.join(folder, names[1]!));
    rmSync(path.join(folder, names[1]!));
    await expect(openJournal({ folder, logger: quiet })).rejects.toThrow('are missing');
    writeFileSync(path.join(folder, names[1]!), saved);
    copyFileSync(path.join(folder, names[0]!), path.join(folder, names[2]!));
    await expect(openJournal({ folder, logger: quiet })).rejects.toThrow(JournalDamaged);
  });

  it('refuses when the disk is full, keeps what it has, and goes on when there is room', async () => {
    let full = false;
    const files: JournalFiles = {
      ...nodeFiles,
      async write(file, bytes, position) {
        if (!full) return nodeFiles.write(file, bytes, position);
        await nodeFiles.write(file, bytes.subarray(0, bytes.length >> 1), position);
        throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      },
    };
    const { log } = await open({ files });
    await log.append(batch([1]));
    full = true;
    await expect(log.append(batch([2]))).rejects.toMatchObject({ kind: 'log-unavailable' });
    expect(log.health()).toMatchObject({ accepting: false });
    full = false;
    expect(await log.append(batch([3]))).toBe(2);
    expect(log.health()).toEqual({ accepting: true });
    await log.close();
    expect(peopleOf((await open()).told)).toEqual([1, 3]);
  });

  it('never writes again after an fsync failed, and says that the outcome is unknown', async () => {
    let broken = false;
    const files: JournalFiles = {
      ...nodeFiles,
      datasync: (file) =>
        broken ? Promise.reject(Object.assign(new Error('io'), { code: 'EIO' })) : nodeFiles.datasync(file),
    };
    const { log } = await open({ files });
    await log.append(batch([1]));
    broken = true;
    await expect(log.append(batch([2]))).rejects.toMatchObject({ kind: 'outcome-unknown' });
    broken = false;
    await expect(log.append(batch([3]))).rejects.toMatchObject({ kind: 'log-unavailable' });
    expect(log.health().reason).toContain('restart');
  });

  it('has every acknowledged record after a kill at any moment, a hundred times over', async () => {
    const seed = testSeed('journal under SIGKILL');
    const random = seeded(seed);
    const script = path.join(folder, 'writer.mjs');
    const source = path.join(import.meta.dirname, '../support/journal-writer.ts');
    await build({
      entryPoints: [source],
      outfile: script,
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      absWorkingDir: process.cwd(),
    });
    // Bare imports resolve from the repository.
    const runnable = path.join(process.cwd(), 'node_modules', `.journal-writer-${process.pid}.mjs`);
    copyFileSync(script, runnable);
    const at = path.join(folder, 'journal');
    let acknowledged = 0;
    try {
      for (let round = 0; round < 100; round += 1) {
        const child = spawn(process.execPath, [runnable, at], { stdio: ['ignore', 'pipe', 'inherit'] });
        let output = '';
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString();
        });
        await once(child.stdout, 'data');
        setTimeout(() => child.kill('SIGKILL'), random() * 25);
        await once(child, 'close');
        const numbers = output.split('\n').slice(0, -1).map(Number);
        acknowledged = Math.max(acknowledged, ...numbers);
        const opened = await open({ at });
        expect(opened.log.end()).toBeGreaterThanOrEqual(acknowledged);
        expect(peopleOf(opened.told)).toEqual(Array.from({ length: opened.log.end() }, (_, n) => n + 1));
        await opened.log.close();
      }
    } finally {
      rmSync(runnable, { force: true });
    }
    log = undefined;
    expect(acknowledged).toBeGreaterThan(100);
  }, 120_000);
});
