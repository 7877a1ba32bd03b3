import { readdirSync, readFileSync } from 'node:fs';
import type { Pool } from 'pg';

/** Linux counts CPU time in hundredths of a second, whatever the kernel's own tick. */
const MS_PER_TICK = 10;

/** Fields of /proc/PID/stat from the third on; the second, the name, may hold spaces. */
const statOf = (pid: number): string[] | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
};

/** CPU time in ms of a process, and of those of its children that have ended. */
const usedMs = (stat: readonly string[], childrenToo: boolean): number =>
  stat.slice(11, childrenToo ? 15 : 13).reduce((ticks, field) => ticks + Number(field), 0) * MS_PER_TICK;

/** CPU time in ms that one local process has used so far. Zero where there is no /proc. */
export function processCpuMs(pid: number): number {
  const stat = statOf(pid);
  return stat ? usedMs(stat, false) : 0;
}

/**
 * CPU time in ms that a local Postgres has used so far, all its processes: steadier than the clock on a machine that
 * others use too. Zero where there is no /proc.
 */
export async function serverCpu(pool: Pool): Promise<() => number> {
  const { rows } = await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const postmaster = Number(statOf(rows[0]!.pid)?.[1]);
  return () => {
    const own = statOf(postmaster);
    if (!own) return 0;
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => statOf(Number(name)))
      .filter((stat) => stat?.[1] === String(postmaster))
      .reduce((ms, stat) => ms + usedMs(stat!, false), usedMs(own, true));
  };
}
