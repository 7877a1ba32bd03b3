import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import path from 'node:path';

const SHAPE = /^[A-Za-z0-9_-]{11}$/;
const BYTES = 8;

/**
 * Names the engine that runs on this data folder, the same after each restart: by it a control that died finds the
 * lists again that it was working on, at once and not when its hold on them runs out. Two folders never have one name,
 * unless one was copied.
 */
export function instanceId(dataFolder: string): string {
  const file = path.join(dataFolder, 'instance');
  try {
    const known = readFileSync(file, 'utf8').trim();
    if (SHAPE.test(known)) return known;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  mkdirSync(dataFolder, { recursive: true });
  const fresh = randomBytes(BYTES).toString('base64url');
  const next = openSync(`${file}.next`, 'w', 0o600);
  writeSync(next, `${fresh}\n`);
  fsyncSync(next);
  closeSync(next);
  renameSync(`${file}.next`, file);
  return fresh;
}
