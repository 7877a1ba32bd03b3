import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What a running engine tells the command line on the same data folder. Readable by its owner only. */
export interface RunFile {
  readonly pid: number;
  readonly port: number;
  readonly opsPort: number;
  /** Of control only. */
  readonly operatorKey?: string | undefined;
  readonly ledgerUrl: string;
  readonly payoutUrl?: string | undefined;
  /** Of the sandbox that stands for every downstream, when one runs. */
  readonly downstreamUrl?: string | undefined;
  readonly demo: boolean;
  readonly campaign: string;
}

const fileOf = (dataFolder: string): string => path.join(dataFolder, 'run', 'engine.json');

export function writeRunFile(dataFolder: string, run: RunFile): void {
  const file = fileOf(dataFolder);
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.next`, JSON.stringify(run), { mode: 0o600 });
  renameSync(`${file}.next`, file);
}

/** Undefined when no engine runs on this folder. */
export function readRunFile(dataFolder: string): RunFile | undefined {
  try {
    const run = JSON.parse(readFileSync(fileOf(dataFolder), 'utf8')) as RunFile;
    process.kill(run.pid, 0);
    return run;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
      ? (JSON.parse(readFileSync(fileOf(dataFolder), 'utf8')) as RunFile)
      : undefined;
  }
}

/** This process's own; another engine's, which this one found running on the folder, stays. */
export function removeRunFile(dataFolder: string): void {
  if (readRunFile(dataFolder)?.pid === process.pid) rmSync(fileOf(dataFolder), { force: true });
}
