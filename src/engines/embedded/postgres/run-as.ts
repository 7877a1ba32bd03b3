import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';

/** The ids that Postgres runs under. Undefined when we are no root and simply run it as ourselves. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

const NOBODY: RunAs = { uid: 65534, gid: 65534 };

/** Postgres refuses to run as root, so root hands it to the system's `postgres` user, or to nobody. */
export function chooseRunAs(): RunAs | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((entry) => entry.startsWith('postgres:'));
    const [, , uid, gid] = line?.split(':') ?? [];
    return uid && gid ? { uid: Number(uid), gid: Number(gid) } : NOBODY;
  } catch {
    return NOBODY;
  }
}

/** Whether this user may pass through every folder above and including `folder`. */
export function canTraverse(folder: string, runAs: RunAs | undefined): boolean {
  if (!runAs) return true;
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    try {
      const stat = statSync(at);
      const mayEnter =
        (stat.uid === runAs.uid && (stat.mode & 0o100) !== 0) ||
        (stat.gid === runAs.gid && (stat.mode & 0o010) !== 0) ||
        (stat.mode & 0o001) !== 0;
      if (!mayEnter) return false;
    } catch {
      // A folder that is not there yet is made by us; what stands above it decides.
    }
    if (at === path.dirname(at)) return true;
  }
}
