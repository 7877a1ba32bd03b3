import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const CLAIMS = path.join(tmpdir(), 'hongbao-ports');
const FIRST = 15_000;
const COUNT = 16_000;
const mine = new Set<number>();

/**
 * A free port below the range that the system gives to clients: inside it, somebody who dials a port where nobody
 * listens may be given that very port to dial from, be connected to himself, and keep it from who wants to listen.
 * The port stays claimed for as long as this process lives, listened on or not: a server that is killed on purpose
 * finds its port again, though another test started servers of its own meanwhile.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (!claim(port)) continue;
    if (await isFree(port)) return port;
    releasePort(port);
  }
}

/** Gives a claimed port back before the process ends. */
export function releasePort(port: number): void {
  if (mine.delete(port)) rmSync(path.join(CLAIMS, String(port)), { force: true });
}

function claim(port: number): boolean {
  mkdirSync(CLAIMS, { recursive: true });
  const file = path.join(CLAIMS, String(port));
  if (!began) begin();
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
  } catch {
    if (isAlive(ownerOf(file))) return false;
    // Whoever claimed it is dead. Two who both see that may both take it; the bind decides, as without any claim.
    writeFileSync(file, String(process.pid));
  }
  mine.add(port);
  return true;
}

let began = false;

/** Those who were killed have left their claims behind; by and by their process numbers would be others'. */
function begin(): void {
  began = true;
  process.once('exit', () => [...mine].forEach(releasePort));
  for (const name of readdirSync(CLAIMS)) {
    const file = path.join(CLAIMS, name);
    const owner = ownerOf(file);
    // One without a number is being written at this moment.
    if (owner > 0 && !isAlive(owner)) rmSync(file, { force: true });
  }
}

function ownerOf(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return 0;
  }
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
