import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { type RunFile, readRunFile, removeRunFile, writeRunFile } from './run-file.ts';

const run: RunFile = { pid: process.pid, port: 1, opsPort: 2, ledgerUrl: '', demo: false, campaign: '' };

it('is left behind by a process that found another engine on its folder', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'run-'));
  try {
    // The process that started this one runs.
    writeRunFile(folder, { ...run, pid: process.ppid });
    removeRunFile(folder);
    expect(readRunFile(folder)?.pid).toBe(process.ppid);
    writeRunFile(folder, run);
    removeRunFile(folder);
    expect(readRunFile(folder)).toBeUndefined();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
