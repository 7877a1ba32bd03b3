import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import type { Notebook } from '../report.ts';
import { type JournalOrder, readToken } from './token.ts';

/** An order, and the sequence of the record that holds it. */
export interface Appended {
  readonly sequence: number;
  readonly order: JournalOrder;
  /** Behind a fence of its slice: it is void. */
  readonly isVoid: boolean;
}

export interface Journal {
  /** In the order of the log; an order may stand in it twice. */
  readonly appended: readonly Appended[];
  readonly lastSequence: number;
}

const HEADER = Buffer.from('HBJRNL1\n');
const FRAME_END = Buffer.from('HBJE');
const HEADER_BYTES = 16;
const FRAME_MAX = 67_108_864;

/** The mark up to which all is credited, by docs/formats.md; 0 without a valid one. */
export function readDrainedMark(folder: string): number {
  const file = path.join(folder, 'drained');
  if (!existsSync(file)) return 0;
  const match = /^(\d+) (\d+)\n$/.exec(readFileSync(file, 'latin1'));
  return match && crc32(match[1]!) === Number(match[2]) ? Number(match[1]) : 0;
}

/** Reads the whole journal by docs/formats.md. What its engine would refuse is found; what it would cut is skipped. */
export function readJournal(folder: string, notebook: Notebook): Journal {
  const appended: Appended[] = [];
  const fences = new Map<bigint, number>();
  let expected = 1;
  const segments = readdirSync(folder)
    .filter((name) => /^\d{20}\.seg$/.test(name))
    .sort();
  if (segments.length > 0 && Number(segments[0]!.slice(0, 20)) !== 1)
    notebook.find('format', 'journal begins late', segments[0]!, 'sequences start at 1');

  for (const [nth, name] of segments.entries()) {
    const isLast = nth === segments.length - 1;
    const bytes = readFileSync(path.join(folder, name));
    const first = Number(name.slice(0, 20));
    if (first !== expected && nth > 0)
      notebook.find('format', 'journal has a gap', name, `expected sequence ${expected}`);
    expected = first;
    if (!isHeader(bytes, first)) {
      if (!(isLast && isTornHeader(bytes, first)))
        notebook.find('format', 'journal segment without its header', name, `${bytes.length} bytes`);
      continue;
    }
    let at = HEADER_BYTES;
    while (at < bytes.length) {
      const frame = readFrame(bytes, at);
      if (!frame) {
        if (!isLast || holdsFinishedFrame(bytes, at))
          notebook.find('format', 'journal damaged', `${name} offset ${at}`, 'a finished frame is not good');
        break;
      }
      readBody(frame.body, `${name} offset ${at}`);
      at = frame.end;
    }
  }
  notebook.saw('journal records', expected - 1);
  notebook.saw('orders in the journal', appended.length);
  return { appended, lastSequence: expected - 1 };

  function readBody(body: Buffer, where: string): void {
    let at = 0;
    while (at < body.length) {
      const length = at + 16 <= body.length ? body.readUInt32BE(at) : 0;
      if (length < 1 || at + 16 + length > body.length) {
        notebook.find('format', 'journal record cut off', where, `in the frame at ${at}`);
        return;
      }
      const checked = body.subarray(at + 8, at + 16 + length);
      const sequence = Number(body.readBigUInt64BE(at + 8));
      if (crc32(checked) !== body.readUInt32BE(at + 4))
        notebook.find('format', 'journal record with a wrong checksum', where, `sequence ${sequence}`);
      if (sequence !== expected)
        notebook.find(
          'format',
          'journal has a gap',
          where,
          `expected sequence ${expected}, found ${sequence}`,
        );
      expected = sequence + 1;
      readPayload(checked.subarray(8), sequence);
      at += 16 + length;
    }
  }

  function readPayload(payload: Buffer, sequence: number): void {
    const where = `sequence ${sequence}`;
    if (payload[0] === 2 && payload.length === 13) {
      const sliceId = payload.readBigUInt64BE(1);
      fences.set(sliceId, Math.max(payload.readUInt32BE(9), fences.get(sliceId) ?? 0));
      return;
    }
    if (payload[0] !== 1 || payload.length < 79) {
      notebook.find('format', 'journal record of an unknown kind', where, `kind ${payload[0]}`);
      return;
    }
    let at = 79;
    const field = (): Buffer => {
      const end = at + 2 + payload.readUInt16BE(at);
      if (end > payload.length) throw new Error('it is cut off');
      const bytes = payload.subarray(at + 2, end);
      at = end;
      return bytes;
    };
    for (let left = payload.readUInt16BE(77); left > 0; left -= 1) {
      try {
        const order = readToken(field());
        field();
        const isVoid = (fences.get(order.sliceId) ?? 0) >= order.sliceEpoch;
        appended.push({ sequence, order, isVoid });
      } catch (error) {
        notebook.find('format', 'journal order can’t be read', where, (error as Error).message);
        return;
      }
    }
    if (at !== payload.length)
      notebook.find('format', 'journal record is too long', where, `${payload.length - at} bytes`);
  }
}

const headerOf = (first: number): Buffer => {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(first));
  return Buffer.concat([HEADER, number]);
};
const isHeader = (bytes: Buffer, first: number): boolean =>
  bytes.subarray(0, HEADER_BYTES).equals(headerOf(first));
const isTornHeader = (bytes: Buffer, first: number): boolean =>
  bytes.length <= HEADER_BYTES &&
  (bytes.equals(headerOf(first).subarray(0, bytes.length)) || bytes.every((byte) => byte === 0));

/** The frame at `at`; a whole one whose last eight bytes are missing or wrong counts too when nothing follows. */
function readFrame(bytes: Buffer, at: number): { body: Buffer; end: number } | undefined {
  if (at + 8 > bytes.length) return undefined;
  const length = bytes.readUInt32BE(at);
  const bodyEnd = at + 8 + length;
  if (length < 1 || length > FRAME_MAX || bodyEnd > bytes.length) return undefined;
  const body = bytes.subarray(at + 8, bodyEnd);
  if (crc32(body) !== bytes.readUInt32BE(at + 4)) return undefined;
  const end = bodyEnd + 8;
  const isEnded =
    end <= bytes.length &&
    bytes.readUInt32BE(bodyEnd) === length &&
    bytes.subarray(bodyEnd + 4, end).equals(FRAME_END);
  if (isEnded) return { body, end };
  return bytes.length <= end ? { body, end: bytes.length } : undefined;
}

/** Whether bytes behind a bad place were finished once: then it was damaged later, not cut off by a crash. */
function holdsFinishedFrame(bytes: Buffer, from: number): boolean {
  if (from + 8 <= bytes.length) {
    const length = bytes.readUInt32BE(from);
    const end = from + 16 + length;
    if (length <= FRAME_MAX && end <= bytes.length && bytes.subarray(end - 4, end).equals(FRAME_END))
      return true;
    const bodyEnd = from + 8 + length;
    if (
      length >= 1 &&
      bodyEnd < bytes.length &&
      crc32(bytes.subarray(from + 8, bodyEnd)) === bytes.readUInt32BE(from + 4)
    )
      return true;
  }
  for (let mark = bytes.indexOf(FRAME_END, from); mark >= 0; mark = bytes.indexOf(FRAME_END, mark + 1)) {
    if (mark < from + 4) continue;
    const start = mark - 12 - bytes.readUInt32BE(mark - 4);
    if (start >= from && readFrame(bytes, start)) return true;
  }
  return false;
}
