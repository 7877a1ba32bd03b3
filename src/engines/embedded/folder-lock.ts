import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Only one process uses a folder. Throws when another living one does, and names `dataFolder` then; a dead one's lock
 * is taken over. `name` is the lock's file in the folder. Returns what gives the lock back.
 */
export function lockFolder(folder: string, name: string, dataFolder: string): () => void {
  const file = path.join(folder, name);
  const mine = `${process.pid} ${startTicksOf(process.pid)}`;
  for (;;) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: 0o600 });
      return () => {
        if (read(file) === mine) rmSync(file, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const held = read(file);
      if (held === mine) throw new Error(`This process has ${folder} open already.`);
      refuseLiving(held, file, dataFolder);
      removeStale(file, held);
    }
  }
}

function refuseLiving(held: string, file: string, dataFolder: string): void {
  const [pid, ticks] = held.split(' ');
  if (Number(pid) === process.pid || !isRunning(Number(pid), ticks ?? '')) return;
  throw new Error(
    `Another engine (process ${pid}) uses the data folder ${dataFolder}. Two would deal the same ` +
      'packets. Stop it, or give this one a folder of its own with HONGBAO_DATA. ' +
      `(If process ${pid} is no engine, remove ${file}.)`,
  );
}

/** Moved aside first: between the look and the removal somebody else may have taken the lock over already. */
function removeStale(file: string, held: string): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    if (read(aside) !== held) linkSync(aside, file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error;
  }
  rmSync(aside, { force: true });
}

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** Behind the name of the program, which may hold anything, parentheses too. */
const statOf = (pid: number): string[] => {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
};

/** When a process began, in clock ticks since boot: tells a pid that was used again. Empty where there is no /proc. */
const startTicksOf = (pid: number): string => statOf(pid)[19] ?? '';

function isRunning(pid: number, ticks: string): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return statOf(pid)[0] !== 'Z' && startTicksOf(pid) === ticks;
}
