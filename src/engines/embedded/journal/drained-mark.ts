import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';

const NAME = 'drained';

/** How far crediting has come; 0 when the mark is missing or broken, because crediting again is harmless. */
export function readDrainedMark(folder: string): number {
  try {
    const [sequence, checksum] = readFileSync(path.join(folder, NAME), 'utf8').trim().split(' ');
    return Number(checksum) === crc32(sequence!) && Number.isSafeInteger(Number(sequence))
      ? Number(sequence)
      : 0;
  } catch {
    return 0;
  }
}

/** Replaces the mark at once and whole. Not fsynced, for the same reason. */
export function writeDrainedMark(folder: string, sequence: number): void {
  const text = String(sequence);
  const next = path.join(folder, `${NAME}.next`);
  writeFileSync(next, `${text} ${crc32(text)}\n`);
  renameSync(next, path.join(folder, NAME));
}
