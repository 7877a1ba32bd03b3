import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { releasePort } from './ports.ts';
import { ownReaper } from './reaper.ts';

/** One real server process, on a port and a folder that stay the same through every death. */
export interface ServerNode {
  readonly name: string;
  /** The process in charge now; another one after `restart`. */
  readonly pid: number;
  readonly port: number;
  readonly folder: string;
  readonly isRunning: boolean;
  /** How its last process ended; undefined while it is the first. */
  readonly ended: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined;
  /** SIGKILL, with everything below it. Resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP, with everything below it: its sockets stay open and say nothing. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Orderly; files and port are kept for `restart`. */
  stop(): Promise<void>;
  /** Orderly stop if it runs, then the same again: same port, same folder. Resolves when it answers. */
  restart(): Promise<void>;
  /** The end of its log. */
  log(): string;
}

/** A node that also can be cleared away for good: its folder and port go with it. */
export interface OwnedServerNode extends ServerNode {
  discard(): Promise<void>;
}

export interface ServerSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly port: number;
  readonly folder: string;
  readonly runAs?: { readonly uid: number; readonly gid: number } | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** What asks it to end in order. */
  readonly stopSignal: NodeJS.Signals;
  /** Ports beside `port` that are given back with it. */
  readonly otherPorts?: readonly number[];
  /** Resolves true when it answers; false or a throw: not yet. */
  isReady(): Promise<boolean>;
}

const READY_WITHIN_MS = 60_000;
const STOP_PATIENCE_MS = 15_000;
const LOOK_EVERY_MS = 20;

let counter = 0;

/** A fresh folder below this process's own. */
export function freshFolder(name: string): string {
  counter += 1;
  const root = ownReaper().folder;
  chmodSync(root, 0o755);
  const folder = path.join(root, `${name}-${counter}`);
  mkdirSync(folder, { mode: 0o755 });
  return folder;
}

/** Starts the server and waits until it answers. Throws with the end of its log when it does not. */
export async function startServer(spec: ServerSpec): Promise<OwnedServerNode> {
  const logFile = path.join(spec.folder, 'server.log');
  let child: ChildProcess;
  let gone: Promise<void>;
  let running = false;
  let ended: ServerNode['ended'];

  async function start(): Promise<void> {
    const log = openSync(logFile, 'a');
    // A session of its own: a Ctrl-C at the terminal is ours to pass on, in order.
    child = spawn(spec.command, spec.args, {
      ...spec.runAs,
      cwd: spec.folder,
      env: { ...process.env, ...spec.env },
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const { pid } = child;
    running = pid !== undefined;
    if (pid !== undefined) ownReaper().watch(pid);
    gone = new Promise((resolve) => {
      const end = () => {
        running = false;
        if (pid !== undefined) ownReaper().forget(pid);
        resolve();
      };
      child.once('exit', (code, signal) => {
        ended = { code, signal };
        end();
      });
      child.once('error', end);
    });
    await untilReady();
  }

  async function untilReady(): Promise<void> {
    const lastMs = performance.now() + READY_WITHIN_MS;
    for (;;) {
      if (!running) throw new Error(`${spec.name} did not start:\n${tail(logFile)}`);
      if (await spec.isReady().catch(() => false)) return;
      if (performance.now() > lastMs)
        throw new Error(`${spec.name} does not answer after ${READY_WITHIN_MS} ms:\n${tail(logFile)}`);
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Its helpers die with it; whoever starts it again must not meet them. */
  async function end(signal: NodeJS.Signals): Promise<void> {
    if (!running) return;
    const below = descendantsOf(child.pid!);
    for (const pid of [child.pid!, ...below]) send(pid, 'SIGCONT');
    child.kill(signal);
    if (signal === 'SIGKILL') for (const pid of below) send(pid, 'SIGKILL');
    const impatient = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
    await gone;
    clearTimeout(impatient);
    while (below.some(isAlive)) await delay(5);
  }

  const node: OwnedServerNode = {
    name: spec.name,
    get pid() {
      return child.pid ?? -1;
    },
    port: spec.port,
    folder: spec.folder,
    get isRunning() {
      return running;
    },
    get ended() {
      return ended;
    },
    kill: () => end('SIGKILL'),
    freeze() {
      if (!running) return;
      // The parent first, so that it starts no more helpers.
      send(child.pid!, 'SIGSTOP');
      for (const pid of descendantsOf(child.pid!)) send(pid, 'SIGSTOP');
    },
    thaw() {
      if (!running) return;
      for (const pid of [...descendantsOf(child.pid!), child.pid!]) send(pid, 'SIGCONT');
    },
    stop: () => end(spec.stopSignal),
    async restart() {
      await end(spec.stopSignal);
      await start();
    },
    log: () => tail(logFile),
    async discard() {
      // What is thrown away need not be written down first.
      await end('SIGKILL');
      rmSync(spec.folder, { recursive: true, force: true, maxRetries: 3 });
      for (const port of [spec.port, ...(spec.otherPorts ?? [])]) releasePort(port);
    },
  };
  try {
    await start();
  } catch (error) {
    await node.discard();
    throw error;
  }
  return node;
}

function tail(logFile: string): string {
  try {
    return readFileSync(logFile, 'utf8').slice(-3_000);
  } catch {
    return '';
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}

function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
}

/** Everything below a process; nothing where there is no /proc. */
function descendantsOf(root: number): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const pid of processes()) {
    const parent = parentOf(pid);
    if (parent !== undefined) childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), pid]);
  }
  const found: number[] = [];
  const visit = (pid: number): void => {
    for (const child of childrenOf.get(pid) ?? []) {
      found.push(child);
      visit(child);
    }
  };
  visit(root);
  return found;
}

function processes(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}
