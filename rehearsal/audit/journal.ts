import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { type Commit, commitsIn } from './commits.ts';
import type { Findings } from './report.ts';
import { type AuditedOrder, readToken } from './token.ts';

export interface JournalEntry {
  readonly order: AuditedOrder;
  readonly sequence: number;
  /** It stands behind its slice's fence: nobody was told "won". */
  readonly isVoid: boolean;
}

/** A grants record, as it stands. */
export interface SealedBatch {
  readonly sequence: number;
  readonly keyId: number;
  readonly nonce: Buffer;
  readonly signature: Buffer;
  readonly tokens: readonly Buffer[];
  readonly ciphertexts: readonly Buffer[];
}

export interface AuditedJournal {
  readonly entries: readonly JournalEntry[];
  readonly batches: readonly SealedBatch[];
  readonly records: number;
  readonly fences: number;
}

const SEGMENT_HEAD_BYTES = 16;

/**
 * Reads a journal by docs/formats.md alone. What the engine would cut off or mend at the end is no finding, because it
 * may be under way at this moment; whatever the engine would refuse is one.
 */
export function readJournal(folder: string, findings: Findings): AuditedJournal {
  const names = readdirSync(folder)
    .filter((name) => /^[0-9]{20}\.seg$/.test(name))
    .sort();
  const taken = nothingTaken();
  let expected = 1;
  for (const [at, name] of names.entries()) {
    const bytes = readFileSync(path.join(folder, name));
    const isLast = at === names.length - 1;
    if (!beginsAsOne(bytes, name, expected, isLast, findings)) continue;
    for (const commit of commitsIn(bytes, SEGMENT_HEAD_BYTES, isLast)) {
      if (commit.body === undefined) {
        findings.add('format', 'a commit is not what was written', `${name}:${commit.offset}`, commit.damage);
        break;
      }
      for (const record of recordsIn(commit)) {
        if (record.sequence !== expected || !record.isGood) {
          findings.add('format', 'a record is wrong', `${name}:${commit.offset}`, `record ${expected}`);
          if (!record.isGood) break;
        }
        expected = record.sequence + 1;
        takeRecord(taken, record.payload, record.sequence, `record ${record.sequence}`, findings);
      }
    }
  }
  return { ...taken, records: expected - 1 };
}

/** What has been read of a log so far, in its order. */
export interface Taken {
  readonly entries: JournalEntry[];
  readonly batches: SealedBatch[];
  readonly fenceOf: Map<bigint, number>;
  fences: number;
}

export const nothingTaken = (): Taken => ({ entries: [], batches: [], fenceOf: new Map(), fences: 0 });

/** Takes in one record; what can't be read is a finding. */
export function takeRecord(
  taken: Taken,
  payload: Buffer,
  sequence: number,
  where: string,
  findings: Findings,
): void {
  try {
    if (payload[0] === 2) {
      taken.fences += 1;
      passFence(payload, taken.fenceOf);
      return;
    }
    const batch = readBatch(payload, sequence);
    taken.batches.push(batch);
    for (const token of batch.tokens) taken.entries.push(entryOf(readToken(token), sequence, taken.fenceOf));
  } catch (error) {
    findings.add('format', 'a record can’t be read', where, (error as Error).message);
  }
}

/** Whether commits follow. The last segment may have been cut off while it was made; then it holds nothing. */
function beginsAsOne(
  bytes: Buffer,
  name: string,
  expected: number,
  isLast: boolean,
  findings: Findings,
): boolean {
  const first = BigInt(name.slice(0, 20));
  const head = Buffer.alloc(SEGMENT_HEAD_BYTES, 'HBJRNL1\n', 'latin1');
  head.writeBigUInt64BE(first, 8);
  if (Number(first) !== expected)
    findings.add('format', 'a segment does not follow the one before', name, `expected ${expected}`);
  if (bytes.subarray(0, SEGMENT_HEAD_BYTES).equals(head)) return true;
  const isCutOff =
    isLast &&
    bytes.length <= SEGMENT_HEAD_BYTES &&
    (head.subarray(0, bytes.length).equals(bytes) || bytes.every((byte) => byte === 0));
  if (!isCutOff) findings.add('format', 'a segment does not begin as one', name);
  return false;
}

function* recordsIn({
  body,
}: Commit & { body: Buffer }): Generator<{ sequence: number; payload: Buffer; isGood: boolean }> {
  let at = 0;
  while (at < body.length) {
    const end = at + 16 <= body.length ? at + 16 + body.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    if (end > body.length || end === at + 16) {
      yield { sequence: 0, payload: Buffer.alloc(1), isGood: false };
      return;
    }
    const isGood = crc32(body.subarray(at + 8, end)) === body.readUInt32BE(at + 4);
    yield { sequence: Number(body.readBigUInt64BE(at + 8)), payload: body.subarray(at + 16, end), isGood };
    at = end;
  }
}

function passFence(payload: Buffer, fences: Map<bigint, number>): void {
  if (payload.length !== 13) throw new Error('a fence of another length');
  const sliceId = payload.readBigUInt64BE(1);
  fences.set(sliceId, Math.max(fences.get(sliceId) ?? 0, payload.readUInt32BE(9)));
}

const entryOf = (
  order: AuditedOrder,
  sequence: number,
  fences: ReadonlyMap<bigint, number>,
): JournalEntry => ({ order, sequence, isVoid: (fences.get(order.sliceId) ?? 0) >= order.epoch });

function readBatch(payload: Buffer, sequence: number): SealedBatch {
  if (payload[0] !== 1) throw new Error(`a record of the unknown kind ${payload[0]}`);
  const tokens: Buffer[] = [];
  const ciphertexts: Buffer[] = [];
  const count = payload.readUInt16BE(77);
  let at = 79;
  const next = (): Buffer => {
    const end = at + 2 + payload.readUInt16BE(at);
    if (end > payload.length) throw new Error('it is cut off');
    const bytes = payload.subarray(at + 2, end);
    at = end;
    return bytes;
  };
  for (let read = 0; read < count; read += 1) {
    tokens.push(next());
    ciphertexts.push(next());
  }
  if (at !== payload.length || count === 0) throw new Error('it has bytes too many, or no order');
  return {
    sequence,
    keyId: payload.readUInt32BE(1),
    nonce: payload.subarray(5, 13),
    signature: payload.subarray(13, 77),
    tokens,
    ciphertexts,
  };
}

/** How far crediting has come by the journal's own mark; 0 where there is none. */
export function readDrained(folder: string): number {
  try {
    const [digits, checksum] = readFileSync(path.join(folder, 'drained'), 'utf8').trim().split(' ');
    return Number(checksum) === crc32(digits!) ? Number(digits) : 0;
  } catch {
    return 0;
  }
}
