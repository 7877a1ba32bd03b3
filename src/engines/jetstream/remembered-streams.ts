import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import type { LogSequence } from '../ports.ts';
import type { Generation } from './generations.ts';

/** In which streams everything stands that this process's journal calls drained; by bucket. */
export interface RememberedStreams {
  of(bucket: number): Generation | undefined;
  note(bucket: number, generation: Generation): void;
  /** What the journal calls drained was promised in another cluster: it is no concern of this one's streams. */
  readonly areForeign: boolean;
  /** What the journal has up to here was promised in other clusters; 0 ordinarily. */
  readonly foreignUpTo: LogSequence;
}

interface Kept {
  readonly cluster?: string | undefined;
  readonly foreignUpTo?: LogSequence;
  readonly streams: readonly (readonly [number, Generation])[];
}

export interface RememberedStreamsOptions {
  readonly file: string;
  /** Undefined while nobody can say which cluster this is: then it is the one that it was. */
  readonly cluster: string | undefined;
  /** The journal's mark at the start. */
  readonly drained: LogSequence;
  readonly logger: Logger;
}

/**
 * Kept beside the journal, for the start of a process that was away while the servers lost their streams. An older file
 * has the journal published once more, which changes nothing for what is credited; none at all would have it kept back.
 */
export function rememberedStreams(options: RememberedStreamsOptions): RememberedStreams {
  const { file, cluster, drained, logger } = options;
  const kept = read(file);
  const areForeign = isOther(kept?.cluster, cluster);
  // Without a file it may come from an engine that stood alone.
  const foreignUpTo = kept && !areForeign ? (kept.foreignUpTo ?? 0) : drained;
  const known = new Map(areForeign ? [] : kept?.streams);
  if (areForeign)
    logger.warn(
      { file, drained },
      'this journal comes from another cluster: what it calls drained stays there',
    );

  function write(): void {
    const next: Kept = { cluster: cluster ?? kept?.cluster, foreignUpTo, streams: [...known] };
    writeFileSync(`${file}.next`, JSON.stringify(next), { mode: 0o600, flush: true });
    renameSync(`${file}.next`, file);
    const folder = openSync(path.dirname(file), 'r');
    fsyncSync(folder);
    closeSync(folder);
  }

  return {
    areForeign,
    foreignUpTo,
    of: (bucket) => known.get(bucket),
    note(bucket, generation) {
      known.set(bucket, generation);
      try {
        write();
      } catch (error) {
        logger.warn({ error: (error as Error).message }, 'which streams there are could not be written down');
      }
    },
  };
}

const isOther = (one: string | undefined, other: string | undefined): boolean =>
  one !== undefined && other !== undefined && one !== other;

function read(file: string): Kept | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Kept;
  } catch {
    return undefined;
  }
}
