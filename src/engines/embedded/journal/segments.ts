import { readdirSync } from 'node:fs';
import path from 'node:path';

/** docs/formats.md, "Journal": a segment is named by its first sequence and begins with it. */
export const SEGMENT_HEAD_BYTES = 16;
const MAGIC = 'HBJRNL1\n';

export interface Segment {
  readonly file: string;
  readonly firstSequence: number;
}

export const segmentFile = (folder: string, firstSequence: number): string =>
  path.join(folder, `${String(firstSequence).padStart(20, '0')}.seg`);

export function listSegments(folder: string): Segment[] {
  return readdirSync(folder)
    .filter((name) => /^[0-9]{20}\.seg$/.test(name))
    .sort()
    .map((name) => ({ file: path.join(folder, name), firstSequence: Number(name.slice(0, 20)) }));
}

export function segmentHead(firstSequence: number): Buffer {
  const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
  head.write(MAGIC, 0, 'latin1');
  head.writeBigUInt64BE(BigInt(firstSequence), 8);
  return head;
}

/**
 * The journal holds something that can't be right and can't be explained by a crash. It does not open: a promise might
 * be missing, and crediting on would hide it.
 */
export class JournalDamaged extends Error {
  override readonly name = 'JournalDamaged';
  constructor(
    readonly file: string,
    readonly offset: number,
    what: string,
  ) {
    super(
      `The grant journal is damaged: ${what} (${file}, byte ${offset}). Promises made to people may be in there, so nothing ` +
        'was changed and the engine does not start. Bring the file back from a copy of the data folder; `hongbao audit` ' +
        'then says whether everything is there. Tokens on phones can fill what stays missing once the journal opens.',
    );
  }
}
