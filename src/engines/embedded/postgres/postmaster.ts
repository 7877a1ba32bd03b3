import { spawn } from 'node:child_process';
import { chownSync, closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PostgresBinaries } from './binaries.ts';
import type { RunAs } from './run-as.ts';
import { SETTINGS } from './settings.ts';

/** A running postmaster, whether we started it or found it. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;
}

const LIVENESS_INTERVAL_MS = 50;

const argumentsFor = (folder: string, port: number): string[] => [
  '-D',
  folder,
  '-p',
  String(port),
  ...Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
];

/** Starts a postmaster. It gets a session of its own: a Ctrl-C at the terminal is ours to pass on, in order. */
export function spawnPostmaster(
  folder: string,
  port: number,
  binaries: PostgresBinaries,
  runAs: RunAs | undefined,
): Postmaster {
  const logFile = path.join(folder, 'server.log');
  // A file, not a pipe: it must go on writing when we are killed.
  const log = openSync(logFile, 'a', 0o600);
  if (runAs) chownSync(logFile, runAs.uid, runAs.gid);
  const child = spawn(binaries.postgres, argumentsFor(folder, port), {
    ...runAs,
    cwd: folder,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  child.unref();
  return { pid: child.pid ?? -1, port, gone };
}

/**
 * The postmaster that an earlier engine left behind on this cluster. A pid file whose process is gone, or is by now
 * another program, is nobody's: Postgres itself clears it away at the next start.
 */
export function findPostmaster(folder: string): (Postmaster & { readonly asWeWould: boolean }) | undefined {
  const pidFile = path.join(folder, 'postmaster.pid');
  if (!existsSync(pidFile)) return undefined;
  const [pidLine, , , portLine] = readFileSync(pidFile, 'utf8').split('\n');
  const pid = Number(pidLine);
  const port = Number(portLine);
  if (!(pid > 0) || !isAlive(pid)) return undefined;
  const command = commandLineOf(pid);
  if (command && !command.includes(folder)) return undefined;
  const asWeWould = command !== undefined && port > 0 && sameArguments(command, argumentsFor(folder, port));
  return { pid, port, gone: untilGone(pid), asWeWould };
}

/** Ends a postmaster: fast shutdown, and after `patienceMs` an immediate one. Resolves when it is gone. */
export async function endPostmaster(postmaster: Postmaster, patienceMs: number): Promise<void> {
  signal(postmaster.pid, 'SIGINT');
  const impatient = setTimeout(() => signal(postmaster.pid, 'SIGQUIT'), patienceMs);
  await postmaster.gone;
  clearTimeout(impatient);
}

const sameArguments = (command: readonly string[], wanted: readonly string[]): boolean =>
  command.length === wanted.length + 1 && wanted.every((argument, at) => command[at + 1] === argument);

/** Undefined where there is no /proc: then the pid file is believed. */
function commandLineOf(pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return undefined;
  }
}

/** A process that isn't our child tells nobody when it ends, so it is looked at. */
async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await delay(LIVENESS_INTERVAL_MS, undefined, { ref: false });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already, which is what was wanted.
  }
}
