import { mkdirSync, readFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from 'pino';
import type { LogSequence } from '../ports.ts';

const LINE = /^(\+?)(\d+)(?: (\d+))?$/;
const WHOLE = -1;

/**
 * Places of the journal that hold no packet of their own to be counted: what was written down and then promised once
 * more, or promised to nobody. A text file beside the journal, a line each: "sequence",
 * or "sequence leaf"; "+sequence leaf" takes a leaf back.
 */
export interface Uncounted {
  has(sequence: LogSequence, leafIndex: number): boolean;
  /** The whole record, or some of its leaves. Written soon; a crash in between counts them after the next start. */
  note(sequence: LogSequence, leafIndexes?: readonly number[]): void;
  /** Whether it was noted since the start: what was left open before that stays uncounted. */
  isOpen(sequence: LogSequence, leafIndex: number): boolean;
  /** This leaf counts after all. */
  counts(sequence: LogSequence, leafIndex: number): void;
  close(): Promise<void>;
}

export function openUncounted(folder: string, logger: Logger): Uncounted {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, 'uncounted');
  const places = new Map<LogSequence, Set<number>>();
  const notedHere = new Set<LogSequence>();
  const takenBack = new Map<LogSequence, Set<number>>();
  const remember = (into: typeof places, sequence: LogSequence, leaf: number): void => {
    into.set(sequence, (into.get(sequence) ?? new Set()).add(leaf));
  };
  for (const line of readLines(file)) {
    const [, plus, sequence, leaf] = LINE.exec(line) ?? [];
    if (sequence !== undefined)
      remember(plus ? takenBack : places, Number(sequence), leaf === undefined ? WHOLE : Number(leaf));
  }
  let waiting = '';
  let writing: Promise<void> | undefined;

  async function write(): Promise<void> {
    while (waiting !== '') {
      const lines = waiting;
      waiting = '';
      await appendFile(file, lines, { mode: 0o600, flush: true }).catch((error: Error) =>
        logger.warn({ reason: error.message }, 'the total may count some packets twice after the next start'),
      );
    }
    writing = undefined;
  }

  function has(sequence: LogSequence, leafIndex: number): boolean {
    if (takenBack.get(sequence)?.has(leafIndex)) return false;
    const leaves = places.get(sequence);
    return leaves !== undefined && (leaves.has(WHOLE) || leaves.has(leafIndex));
  }

  return {
    has,
    isOpen: (sequence, leafIndex) => notedHere.has(sequence) && has(sequence, leafIndex),
    note(sequence, leafIndexes = [WHOLE]) {
      if (leafIndexes.length > 0) notedHere.add(sequence);
      for (const leaf of leafIndexes) {
        remember(places, sequence, leaf);
        // Each line begins anew, so that one that was torn by a crash spoils no other.
        waiting += leaf === WHOLE ? `\n${sequence}\n` : `\n${sequence} ${leaf}\n`;
      }
      if (waiting !== '') writing ??= write();
    },
    counts(sequence, leafIndex) {
      remember(takenBack, sequence, leafIndex);
      waiting += `\n+${sequence} ${leafIndex}\n`;
      writing ??= write();
    },
    close: async () => writing,
  };
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
