import { crc32 } from 'node:zlib';

/**
 * docs/formats.md, "Journal". One commit is one frame, because only one commit is ever under way: so at most the very
 * last frame can be torn. Its length stands at both ends, and the end mark is the last thing written: a frame whose
 * end stands there was written in full, and if its checksum fails then, it was damaged later, not torn.
 *
 *   [u32 body length][u32 crc32 of body][body][u32 body length][u32 "HBJE"]
 *   body: records, each [u32 bytes][u32 crc32 of the rest][u64 sequence][bytes]
 *
 * A record has a checksum of its own, so that one that is read alone is never believed unseen.
 */
export const FRAME_HEAD_BYTES = 8;
export const FRAME_TAIL_BYTES = 8;
export const RECORD_HEAD_BYTES = 16;
const FRAME_BODY_BYTES_MAX = 64 << 20;
const END_MARK = 0x48424a45;

export function buildFrame(records: readonly Buffer[], firstSequence: number): Buffer {
  let body = 0;
  for (const record of records) body += RECORD_HEAD_BYTES + record.length;
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + body + FRAME_TAIL_BYTES);
  let to = FRAME_HEAD_BYTES;
  for (let at = 0; at < records.length; at += 1) {
    const record = records[at]!;
    const end = to + RECORD_HEAD_BYTES + record.length;
    frame.writeUInt32BE(record.length, to);
    frame.writeBigUInt64BE(BigInt(firstSequence + at), to + 8);
    frame.set(record, to + RECORD_HEAD_BYTES);
    frame.writeUInt32BE(crc32(frame.subarray(to + 8, end)), to + 4);
    to = end;
  }
  frame.writeUInt32BE(body, 0);
  frame.writeUInt32BE(crc32(frame.subarray(FRAME_HEAD_BYTES, to)), 4);
  frame.writeUInt32BE(body, to);
  frame.writeUInt32BE(END_MARK, to + 4);
  return frame;
}

/** The frame's body at `offset`, if the whole frame is there and its checksum holds. */
export function frameBodyAt(bytes: Buffer, offset: number): Buffer | undefined {
  if (offset + FRAME_HEAD_BYTES + FRAME_TAIL_BYTES > bytes.length) return undefined;
  const length = bytes.readUInt32BE(offset);
  const start = offset + FRAME_HEAD_BYTES;
  const end = start + length;
  if (length === 0 || length > FRAME_BODY_BYTES_MAX || end + FRAME_TAIL_BYTES > bytes.length)
    return undefined;
  if (bytes.readUInt32BE(end) !== length || bytes.readUInt32BE(end + 4) !== END_MARK) return undefined;
  const body = bytes.subarray(start, end);
  return crc32(body) === bytes.readUInt32BE(offset + 4) ? body : undefined;
}

/**
 * The body of a frame whose end mark alone is missing or wrong: its checksum holds, so what it says is right. When it
 * is the last one, its tail only has to be written again.
 */
export function bodyWithoutTail(bytes: Buffer, offset: number): Buffer | undefined {
  if (offset + FRAME_HEAD_BYTES > bytes.length) return undefined;
  const length = bytes.readUInt32BE(offset);
  const end = offset + FRAME_HEAD_BYTES + length;
  if (length === 0 || length > FRAME_BODY_BYTES_MAX || end > bytes.length) return undefined;
  const body = bytes.subarray(offset + FRAME_HEAD_BYTES, end);
  return crc32(body) === bytes.readUInt32BE(offset + 4) ? body : undefined;
}

export function buildTail(bodyLength: number): Buffer {
  const tail = Buffer.allocUnsafe(FRAME_TAIL_BYTES);
  tail.writeUInt32BE(bodyLength, 0);
  tail.writeUInt32BE(END_MARK, 4);
  return tail;
}

/**
 * Whether the bytes from `offset` on hold something that was once written in full: then they are damaged, and not just
 * the torn end of a commit that nobody was told of.
 */
export function holdsFinishedFrame(bytes: Buffer, offset: number): boolean {
  for (
    let at = bytes.indexOf('HBJE', offset, 'latin1');
    at >= 0;
    at = bytes.indexOf('HBJE', at + 1, 'latin1')
  ) {
    if (at - 4 < offset) continue;
    const length = bytes.readUInt32BE(at - 4);
    const start = at - 4 - length - FRAME_HEAD_BYTES;
    if (start === offset) return true;
    if (start > offset && frameBodyAt(bytes, start)) return true;
  }
  return false;
}

export interface RecordPlace {
  readonly sequence: number;
  /** Of the record's own bytes inside the body. */
  readonly start: number;
  readonly end: number;
}

/** The record whose head stands at `at`, if all of it is there and its checksum holds. */
export function recordAt(bytes: Buffer, at: number): RecordPlace | undefined {
  const start = at + RECORD_HEAD_BYTES;
  if (start > bytes.length) return undefined;
  const end = start + bytes.readUInt32BE(at);
  if (end > bytes.length || crc32(bytes.subarray(at + 8, end)) !== bytes.readUInt32BE(at + 4))
    return undefined;
  return { sequence: Number(bytes.readBigUInt64BE(at + 8)), start, end };
}

/** Where the records of a body lie; undefined when it is no list of records. */
export function recordsOf(body: Buffer): RecordPlace[] | undefined {
  const places: RecordPlace[] = [];
  let at = 0;
  while (at < body.length) {
    const place = recordAt(body, at);
    if (!place) return undefined;
    places.push(place);
    at = place.end;
  }
  return places;
}
