import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Generation } from './generations.ts';

/** In which streams everything stands that this process's journal calls drained; by bucket. */
export interface RememberedStreams {
  of(bucket: number): Generation | undefined;
  note(bucket: number, generation: Generation): void;
}

/**
 * Kept beside the journal, for the start of a process that was away while the servers lost their streams. Not fsynced:
 * an older file has the journal published once more, which changes nothing for what is credited.
 */
export function rememberedStreams(file: string, logger: Logger): RememberedStreams {
  const known = new Map(read(file));
  return {
    of: (bucket) => known.get(bucket),
    note(bucket, generation) {
      known.set(bucket, generation);
      try {
        writeFileSync(`${file}.next`, JSON.stringify([...known]), { mode: 0o600 });
        renameSync(`${file}.next`, file);
      } catch (error) {
        logger.warn({ error: (error as Error).message }, 'which streams there are could not be written down');
      }
    },
  };
}

function read(file: string): readonly (readonly [number, Generation])[] {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as [number, Generation][];
  } catch {
    return [];
  }
}
