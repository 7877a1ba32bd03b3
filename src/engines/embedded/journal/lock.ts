import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const NAME = 'writer.lock';

/** Only one process writes a journal. Throws when another living one does; a dead one's lock is taken over. */
export function lockFolder(folder: string): () => void {
  const file = path.join(folder, NAME);
  const mine = `${process.pid} ${startTicksOf(process.pid)}`;
  for (;;) {
    try {
      writeFileSync(file, mine, { flag: 'wx' });
      return () => {
        if (read(file) === mine) rmSync(file, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const [pid, ticks] = read(file).split(' ');
      if (Number(pid) !== process.pid && isRunning(Number(pid), ticks ?? '')) {
        throw new Error(
          `Another engine (process ${pid}) uses the data folder ${path.dirname(folder)}. Two would deal the same packets. ` +
            'Stop it, or give this one a folder of its own with HONGBAO_DATA.',
        );
      }
      if (Number(pid) === process.pid && ticks === startTicksOf(process.pid)) {
        throw new Error(`This process has the journal ${folder} open already.`);
      }
      rmSync(file, { force: true });
    }
  }
}

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** When a process began, in clock ticks since boot: tells a pid that was used again. Empty where there is no /proc. */
function startTicksOf(pid: number): string {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function isRunning(pid: number, ticks: string): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const stat = read(`/proc/${pid}/stat`);
  const zombie = stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  return !zombie && startTicksOf(pid) === ticks;
}
