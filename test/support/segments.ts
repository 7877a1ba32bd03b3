import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The segments of a journal, oldest first. */
export const segmentsOf = (dataFolder: string): string[] => {
  const folder = path.join(dataFolder, 'journal');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.seg'))
    .sort()
    .map((name) => path.join(folder, name));
};

export interface CommitPlace {
  readonly offset: number;
  readonly length: number;
  readonly firstSequence: number;
}

/** Where the commits of a healthy segment stand (docs/formats.md). */
export function commitsOf(file: string): CommitPlace[] {
  const bytes = readFileSync(file);
  const places: CommitPlace[] = [];
  for (let offset = 16; offset < bytes.length; ) {
    const length = 16 + bytes.readUInt32BE(offset);
    places.push({ offset, length, firstSequence: Number(bytes.readBigUInt64BE(offset + 16)) });
    offset += length;
  }
  return places;
}

/** Parts the last segment in front of its nth commit, as if it had been full there. */
export function splitLastSegment(dataFolder: string, commit: number): void {
  const file = segmentsOf(dataFolder).at(-1)!;
  const { offset, firstSequence } = commitsOf(file)[commit]!;
  const bytes = readFileSync(file);
  const head = Buffer.from(bytes.subarray(0, 16));
  head.writeBigUInt64BE(BigInt(firstSequence), 8);
  const name = `${String(firstSequence).padStart(20, '0')}.seg`;
  writeFileSync(path.join(path.dirname(file), name), Buffer.concat([head, bytes.subarray(offset)]));
  writeFileSync(file, bytes.subarray(0, offset));
}
