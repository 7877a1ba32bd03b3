import { spawn } from 'node:child_process';
import {
  chownSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from 'node:fs';
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
  hasGone(): boolean;
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
  return watched({ pid: child.pid ?? 0, port, gone });
}

function watched(postmaster: Omit<Postmaster, 'hasGone'>): Postmaster {
  let gone = false;
  void postmaster.gone.then(() => {
    gone = true;
  });
  return { ...postmaster, hasGone: () => gone };
}

/**
 * The postmaster that an earlier engine left behind on this cluster. A pid file whose process is gone is nobody's, and
 * Postgres itself clears it away. One whose number another program has by now (after a reboot, in a container) would
 * keep Postgres from starting for ever, so it is removed here.
 */
export function findPostmaster(folder: string): (Postmaster & { readonly asWeWould: boolean }) | undefined {
  const pidFile = path.join(folder, 'postmaster.pid');
  if (!existsSync(pidFile)) return undefined;
  const [pidLine, , , portLine] = readFileSync(pidFile, 'utf8').split('\n');
  const pid = Number(pidLine);
  const port = Number(portLine);
  if (!(pid > 0) || !isAlive(pid)) return undefined;
  const command = commandLineOf(pid);
  if (command && !command.includes(folder) && !worksIn(pid, folder)) {
    rmSync(pidFile, { force: true });
    return undefined;
  }
  const asWeWould = command !== undefined && port > 0 && sameArguments(command, argumentsFor(folder, port));
  return { ...watched({ pid, port, gone: untilGone(pid) }), asWeWould };
}

/** Ends a postmaster: fast shutdown, and after `patienceMs` an immediate one. Resolves when it is gone. */
export async function endPostmaster(postmaster: Postmaster, patienceMs: number): Promise<void> {
  signal(postmaster, 'SIGINT');
  const impatient = setTimeout(() => signal(postmaster, 'SIGQUIT'), patienceMs);
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

/** Postgres works in its cluster's folder, by whatever name it was given it. */
function worksIn(pid: number, folder: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(folder);
  } catch {
    return false;
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

/** A number that is nobody's any more may be somebody else's; and 0 and below mean whole groups of processes. */
function signal(postmaster: Postmaster, name: NodeJS.Signals): void {
  if (postmaster.hasGone() || !(postmaster.pid > 0)) return;
  try {
    process.kill(postmaster.pid, name);
  } catch {
    // Gone already, which is what was wanted.
  }
}
