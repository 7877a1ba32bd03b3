import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { LogRecord } from '../../ports.ts';
import type { JournalFiles } from './files.ts';
import {
  bodyWithoutTail,
  buildTail,
  FRAME_HEAD_BYTES,
  FRAME_TAIL_BYTES,
  frameBodyAt,
  holdsFinishedFrame,
  recordsOf,
} from './frame.ts';
import type { PlaceIndex } from './place-index.ts';
import { weightOf } from './reader.ts';
import { decodeRecord } from './record-codec.ts';
import { JournalDamaged, listSegments, SEGMENT_HEAD_BYTES, type Segment, segmentHead } from './segments.ts';

export interface Recovered {
  readonly segments: Segment[];
  /** Durable length of the last segment, in bytes. */
  readonly lengthBytes: number;
}

interface RecoverOptions {
  readonly folder: string;
  readonly files: JournalFiles;
  readonly index: PlaceIndex;
  readonly logger: Logger;
  readonly onRecord: (record: LogRecord) => void;
}

/**
 * Reads every segment, checks every byte, and tells each record. The torn end of a commit that nobody was told of is
 * cut off, aloud; anything else that is wrong throws JournalDamaged and changes nothing (docs/formats.md).
 */
export async function recover(options: RecoverOptions): Promise<Recovered> {
  const segments = listSegments(options.folder);
  let end: SegmentEnd | undefined;
  for (const [at, segment] of segments.entries()) {
    const expected = options.index.count + 1;
    if (segment.firstSequence !== expected) {
      const what = `records from ${expected} on are missing; this segment begins with ${segment.firstSequence}`;
      throw new JournalDamaged(segment.file, 0, what);
    }
    end = readSegment(segment, at, at === segments.length - 1, options);
  }
  if (end) await settle(segments.at(-1)!, end, options);
  return { segments, lengthBytes: end?.lengthBytes ?? 0 };
}

/** How a segment ends, and what must be done so that it ends well. */
interface SegmentEnd {
  readonly lengthBytes: number;
  /** Bytes behind the last good frame; they are cut off. */
  readonly tornBytes: number;
  /** What is written again in place: the last commit, so that it is durable whatever the page cache says. */
  readonly rewrite: { readonly bytes: Buffer; readonly at: number };
  readonly wasMended: boolean;
}

function readSegment(
  segment: Segment,
  ordinal: number,
  isLast: boolean,
  options: RecoverOptions,
): SegmentEnd {
  const bytes = readFileSync(segment.file);
  const head = segmentHead(segment.firstSequence);
  let rewrite = { bytes: head, at: 0 };
  if (!bytes.subarray(0, SEGMENT_HEAD_BYTES).equals(head)) {
    // A segment is made before its first commit; cut off in that moment it is short, and holds nothing.
    if (!isLast || !isUnfinishedHead(bytes, head))
      throw new JournalDamaged(segment.file, 0, 'the segment does not begin as one');
    return { lengthBytes: SEGMENT_HEAD_BYTES, tornBytes: 0, rewrite, wasMended: true };
  }
  let offset = SEGMENT_HEAD_BYTES;
  while (offset < bytes.length) {
    const body = frameBodyAt(bytes, offset);
    if (!body) return endOf(segment, ordinal, isLast, bytes, offset, rewrite, options);
    tellRecords(segment, ordinal, offset, body, options);
    const end = offset + FRAME_HEAD_BYTES + body.length + FRAME_TAIL_BYTES;
    rewrite = { bytes: bytes.subarray(offset, end), at: offset };
    offset = end;
  }
  return { lengthBytes: offset, tornBytes: 0, rewrite, wasMended: false };
}

/** What stands at `offset` is no good frame: a torn end, a whole commit without its end, or damage. */
function endOf(
  segment: Segment,
  ordinal: number,
  isLast: boolean,
  bytes: Buffer,
  offset: number,
  rewrite: SegmentEnd['rewrite'],
  options: RecoverOptions,
): SegmentEnd {
  const body = bodyWithoutTail(bytes, offset);
  const end = offset + FRAME_HEAD_BYTES + (body?.length ?? 0);
  const isFollowed = body !== undefined && end + FRAME_TAIL_BYTES < bytes.length;
  if (!isLast || isFollowed || (!body && holdsFinishedFrame(bytes, offset))) {
    const what = 'a commit that was written in full is not what was written';
    throw new JournalDamaged(segment.file, offset, what);
  }
  if (!body) {
    return { lengthBytes: offset, tornBytes: bytes.length - offset, rewrite, wasMended: true };
  }
  tellRecords(segment, ordinal, offset, body, options);
  const frame = Buffer.concat([bytes.subarray(offset, end), buildTail(body.length)]);
  return {
    lengthBytes: offset + frame.length,
    tornBytes: 0,
    rewrite: { bytes: frame, at: offset },
    wasMended: true,
  };
}

const isUnfinishedHead = (bytes: Buffer, head: Buffer): boolean =>
  bytes.length <= head.length &&
  (head.subarray(0, bytes.length).equals(bytes) || bytes.every((byte) => byte === 0));

function tellRecords(
  segment: Segment,
  ordinal: number,
  offset: number,
  body: Buffer,
  options: RecoverOptions,
): void {
  for (const place of recordsOf(body) ?? [undefined]) {
    const expected = options.index.count + 1;
    const record =
      place?.sequence === expected
        ? decodeRecord(place.sequence, body.subarray(place.start, place.end))
        : undefined;
    if (!place || !record)
      throw new JournalDamaged(segment.file, offset, `record ${expected} is not what it should be`);
    options.index.add({
      segment: ordinal,
      offset: offset + FRAME_HEAD_BYTES + place.start,
      length: place.end - place.start,
      weight: weightOf(record),
    });
    options.onRecord(record);
  }
}

/**
 * Makes durable what was just told. After a crash the last commit may stand in the page cache only, and after a failed
 * fsync the kernel may hold it for clean and never write it; written again, it is dirty, and this fsync means it.
 */
async function settle(segment: Segment, end: SegmentEnd, options: RecoverOptions): Promise<void> {
  const { files } = options;
  const file = await files.open(segment.file, 'r+');
  try {
    if (end.tornBytes > 0) await files.truncate(file, end.lengthBytes);
    await files.write(file, end.rewrite.bytes, end.rewrite.at);
    await files.datasync(file);
  } finally {
    await files.close(file);
  }
  await files.syncFolder(options.folder);
  if (!end.wasMended) return;
  options.logger.warn(
    { file: segment.file, atByte: end.lengthBytes, cutBytes: end.tornBytes },
    'the journal ended in the middle of a commit that nobody had been told of; it goes on from the last good record',
  );
}
