import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import type { Logger } from 'pino';
import type { LogSequence } from '../../ports.ts';

const INTERVAL_MS = 200;

export const drainedMarkFile = (folder: string): string => path.join(folder, 'drained');

/** How far crediting has come; 0 when the mark is missing or broken, because crediting again is harmless. */
export function readDrainedMark(folder: string): LogSequence {
  try {
    const [sequence, checksum] = readFileSync(drainedMarkFile(folder), 'utf8').trim().split(' ');
    return Number(checksum) === crc32(sequence!) && Number.isSafeInteger(Number(sequence))
      ? Number(sequence)
      : 0;
  } catch {
    return 0;
  }
}

/** Replaces the mark at once and whole. Not fsynced: behind is fine, and what it names was durable before it. */
function writeDrainedMark(folder: string, sequence: LogSequence): void {
  const text = String(sequence);
  const next = `${drainedMarkFile(folder)}.next`;
  writeFileSync(next, `${text} ${crc32(text)}\n`, { mode: 0o600 });
  renameSync(next, drainedMarkFile(folder));
}

/** The mark in memory, written a moment after it moved and at the close. */
export function createDrainedMark(folder: string, start: LogSequence, logger: Logger) {
  let drained = start;
  let written = start;
  let timer: NodeJS.Timeout | undefined;

  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (written === drained) return;
    try {
      writeDrainedMark(folder, drained);
      written = drained;
    } catch (error) {
      // Behind is fine: the orders in between are credited again, which changes nothing.
      logger.warn({ error: (error as Error).message }, 'the drained mark could not be written');
    }
  };

  return {
    at: (): LogSequence => drained,
    moveTo(sequence: LogSequence): void {
      if (sequence <= drained) return;
      drained = sequence;
      timer ??= setTimeout(write, INTERVAL_MS);
    },
    close: write,
  };
}
