import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import type { Findings } from './report.ts';
import { type AuditedOrder, readToken } from './token.ts';

export interface JournalEntry {
  readonly order: AuditedOrder;
  readonly sequence: number;
  /** It stands behind its slice's fence: nobody was told "won". */
  readonly isVoid: boolean;
}

export interface AuditedJournal {
  readonly entries: readonly JournalEntry[];
  readonly records: number;
  readonly drained: number;
}

/**
 * Reads a journal by docs/formats.md alone. What the engine would cut off at the end (a torn commit) is passed over,
 * because it may be under way at this moment; everything else that is wrong is a finding.
 */
export function readJournal(folder: string, findings: Findings): AuditedJournal {
  const names = readdirSync(folder)
    .filter((name) => /^[0-9]{20}\.seg$/.test(name))
    .sort();
  const entries: JournalEntry[] = [];
  const fences = new Map<bigint, number>();
  let expected = 1;
  for (const [at, name] of names.entries()) {
    const bytes = readFileSync(path.join(folder, name));
    const isLast = at === names.length - 1;
    if (bytes.length < 16 && isLast) break;
    if (bytes.toString('latin1', 0, 8) !== 'HBJRNL1\n')
      findings.add('format', 'a segment does not begin as one', name);
    if (
      Number(bytes.readBigUInt64BE(8)) !== Number(name.slice(0, 20)) ||
      Number(name.slice(0, 20)) !== expected
    ) {
      findings.add('format', 'a segment does not follow the one before', name, `expected ${expected}`);
    }
    let offset = 16;
    while (offset < bytes.length) {
      const body = frameAt(bytes, offset);
      if (!body) {
        if (!isLast) findings.add('format', 'a commit is not whole', `${name}:${offset}`);
        break;
      }
      for (const record of recordsIn(body)) {
        if (record.sequence !== expected || !record.good)
          findings.add('format', 'a record is wrong', `${name}:${offset}`, `record ${expected}`);
        expected = record.sequence + 1;
        readRecord(record.payload, record.sequence, entries, fences, findings);
      }
      offset += 8 + body.length + 8;
    }
  }
  return { entries, records: expected - 1, drained: readDrained(folder) };
}

function frameAt(bytes: Buffer, offset: number): Buffer | undefined {
  if (offset + 16 > bytes.length) return undefined;
  const length = bytes.readUInt32BE(offset);
  const end = offset + 8 + length;
  if (length === 0 || end + 8 > bytes.length) return undefined;
  const body = bytes.subarray(offset + 8, end);
  const whole = bytes.readUInt32BE(end) === length && bytes.toString('latin1', end + 4, end + 8) === 'HBJE';
  return whole && crc32(body) === bytes.readUInt32BE(offset + 4) ? body : undefined;
}

function* recordsIn(body: Buffer): Generator<{ sequence: number; payload: Buffer; good: boolean }> {
  let at = 0;
  while (at + 16 <= body.length) {
    const length = body.readUInt32BE(at);
    const end = at + 16 + length;
    const good = end <= body.length && crc32(body.subarray(at + 8, end)) === body.readUInt32BE(at + 4);
    yield { sequence: Number(body.readBigUInt64BE(at + 8)), payload: body.subarray(at + 16, end), good };
    at = end;
  }
}

function readRecord(
  payload: Buffer,
  sequence: number,
  entries: JournalEntry[],
  fences: Map<bigint, number>,
  findings: Findings,
): void {
  if (payload[0] === 2) {
    const sliceId = payload.readBigUInt64BE(1);
    fences.set(sliceId, Math.max(fences.get(sliceId) ?? 0, payload.readUInt32BE(9)));
    return;
  }
  if (payload[0] !== 1) return findings.add('format', 'a record of an unknown kind', `record ${sequence}`);
  const count = payload.readUInt16BE(77);
  let at = 79;
  try {
    for (let read = 0; read < count; read += 1) {
      const tokenEnd = at + 2 + payload.readUInt16BE(at);
      const order = readToken(payload.subarray(at + 2, tokenEnd));
      at = tokenEnd + 2 + payload.readUInt16BE(tokenEnd);
      entries.push({ order, sequence, isVoid: (fences.get(order.sliceId) ?? 0) >= order.epoch });
    }
    if (at !== payload.length) findings.add('format', 'a record has bytes too many', `record ${sequence}`);
  } catch (error) {
    findings.add('format', 'a record can’t be read', `record ${sequence}`, (error as Error).message);
  }
}

function readDrained(folder: string): number {
  try {
    const [digits, checksum] = readFileSync(path.join(folder, 'drained'), 'utf8').trim().split(' ');
    return Number(checksum) === crc32(digits!) ? Number(digits) : 0;
  } catch {
    return 0;
  }
}
