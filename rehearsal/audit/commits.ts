import { crc32 } from 'node:zlib';

/** A commit of a segment: its body, or why it can't be believed. */
export type Commit =
  | { readonly offset: number; readonly body: Buffer; readonly damage?: never }
  | { readonly offset: number; readonly body: undefined; readonly damage: string };

const MARK = 'HBJE';
const HEAD_BYTES = 8;
const TAIL_BYTES = 8;

/**
 * The commits of a segment from `offset` on, by the table in docs/formats.md: at the end of the last segment a commit
 * that was cut off is passed over, and one that lacks nothing but its end counts; anything else that is not good is
 * damage, and ends the reading.
 */
export function* commitsIn(bytes: Buffer, offset: number, isLast: boolean): Generator<Commit> {
  let at = offset;
  while (at < bytes.length) {
    const body = wholeAt(bytes, at);
    if (body) {
      yield { offset: at, body };
      at += HEAD_BYTES + body.length + TAIL_BYTES;
      continue;
    }
    const untailed = bodyAt(bytes, at);
    if (untailed && isLast && at + HEAD_BYTES + untailed.length + TAIL_BYTES >= bytes.length)
      yield { offset: at, body: untailed };
    else if (untailed || !isLast || holdsFinished(bytes, at))
      yield { offset: at, body: undefined, damage: 'it was damaged after it was written' };
    return;
  }
}

/** The body at `at` by the length before it, when its checksum holds. */
function bodyAt(bytes: Buffer, at: number): Buffer | undefined {
  if (at + HEAD_BYTES > bytes.length) return undefined;
  const end = at + HEAD_BYTES + bytes.readUInt32BE(at);
  if (end === at + HEAD_BYTES || end > bytes.length) return undefined;
  const body = bytes.subarray(at + HEAD_BYTES, end);
  return crc32(body) === bytes.readUInt32BE(at + 4) ? body : undefined;
}

function wholeAt(bytes: Buffer, at: number): Buffer | undefined {
  const body = bodyAt(bytes, at);
  return body && hasTail(bytes, at, body.length) ? body : undefined;
}

function hasTail(bytes: Buffer, at: number, length: number): boolean {
  const tail = at + HEAD_BYTES + length;
  return (
    tail + TAIL_BYTES <= bytes.length &&
    bytes.readUInt32BE(tail) === length &&
    bytes.toString('latin1', tail + 4, tail + 8) === MARK
  );
}

/** Whether something that was once written to its end stands at `at` or behind it. */
function holdsFinished(bytes: Buffer, at: number): boolean {
  if (at + HEAD_BYTES <= bytes.length && hasTail(bytes, at, bytes.readUInt32BE(at))) return true;
  for (let mark = bytes.indexOf(MARK, at); mark >= 0; mark = bytes.indexOf(MARK, mark + 1)) {
    if (mark < at + 4) continue;
    const start = mark - 4 - bytes.readUInt32BE(mark - 4) - HEAD_BYTES;
    if (start === at || (start > at && wholeAt(bytes, start))) return true;
  }
  return false;
}
