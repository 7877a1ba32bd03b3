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
import { decodeRecord } from './record-codec.ts';
import { JournalDamaged, listSegments, SEGMENT_HEAD_BYTES, type Segment, segmentHead } from './segments.ts';

export interface Recovered {
  readonly segments: Segment[];
  /** Durable length of the last segment, in bytes. */
  readonly lengthBytes: number;
}

/**
 * Reads every segment, checks every byte, and tells each record. The torn end of a commit that nobody was told of is
 * cut off, aloud; anything else that is wrong throws JournalDamaged and changes nothing.
 */
export async function recover(options: {
  folder: string;
  files: JournalFiles;
  index: PlaceIndex;
  logger: Logger;
  onRecord: (record: LogRecord) => void;
}): Promise<Recovered> {
  const segments = listSegments(options.folder);
  let expected = 1;
  let lengthBytes = 0;
  for (const [at, segment] of segments.entries()) {
    if (segment.firstSequence !== expected) {
      throw new JournalDamaged(
        segment.file,
        0,
        `records ${expected} to ${segment.firstSequence - 1} are missing`,
      );
    }
    const read = readSegment(segment, at === segments.length - 1, expected, at, options);
    if (read.repair) await mend(segment, read.repair, options);
    expected = read.nextSequence;
    lengthBytes = read.lengthBytes;
  }
  return { segments, lengthBytes };
}

interface Repair {
  readonly truncateTo?: number;
  readonly rewrite?: { readonly bytes: Buffer; readonly at: number };
  readonly lostBytes: number;
}

interface ReadSegment {
  readonly nextSequence: number;
  readonly lengthBytes: number;
  readonly repair?: Repair;
}

function readSegment(
  segment: Segment,
  isLast: boolean,
  firstExpected: number,
  ordinal: number,
  options: { index: PlaceIndex; onRecord: (record: LogRecord) => void },
): ReadSegment {
  const bytes = readFileSync(segment.file);
  const head = segmentHead(segment.firstSequence);
  if (!bytes.subarray(0, SEGMENT_HEAD_BYTES).equals(head)) {
    // A segment is made before its first commit; cut off in that moment it is short, and holds nothing.
    if (isLast && bytes.length < SEGMENT_HEAD_BYTES && head.subarray(0, bytes.length).equals(bytes)) {
      return {
        nextSequence: firstExpected,
        lengthBytes: SEGMENT_HEAD_BYTES,
        repair: { rewrite: { bytes: head, at: 0 }, lostBytes: 0 },
      };
    }
    throw new JournalDamaged(segment.file, 0, 'the segment does not begin as one');
  }
  let expected = firstExpected;
  let offset = SEGMENT_HEAD_BYTES;
  while (offset < bytes.length) {
    const body = frameBodyAt(bytes, offset);
    const tailless = body ? undefined : isLast ? bodyWithoutTail(bytes, offset) : undefined;
    if (!body && !tailless) {
      if (!isLast || holdsFinishedFrame(bytes, offset)) {
        throw new JournalDamaged(
          segment.file,
          offset,
          'a commit that was written in full does not match its checksum',
        );
      }
      return {
        nextSequence: expected,
        lengthBytes: offset,
        repair: { truncateTo: offset, lostBytes: bytes.length - offset },
      };
    }
    expected = tellRecords(segment, ordinal, offset, body ?? tailless!, expected, options);
    const end = offset + FRAME_HEAD_BYTES + (body ?? tailless!).length;
    if (tailless) {
      const repair = { rewrite: { bytes: buildTail(tailless.length), at: end }, lostBytes: 0 };
      return { nextSequence: expected, lengthBytes: end + FRAME_TAIL_BYTES, repair };
    }
    offset = end + FRAME_TAIL_BYTES;
  }
  return { nextSequence: expected, lengthBytes: offset };
}

function tellRecords(
  segment: Segment,
  ordinal: number,
  offset: number,
  body: Buffer,
  firstExpected: number,
  options: { index: PlaceIndex; onRecord: (record: LogRecord) => void },
): number {
  let expected = firstExpected;
  for (const place of recordsOf(body) ?? []) {
    const record =
      place.sequence === expected
        ? decodeRecord(place.sequence, body.subarray(place.start, place.end))
        : undefined;
    if (!record)
      throw new JournalDamaged(segment.file, offset, `record ${expected} is not what it should be`);
    options.index.add(ordinal, offset + FRAME_HEAD_BYTES + place.start, place.end - place.start);
    options.onRecord(record);
    expected += 1;
  }
  if (expected === firstExpected) throw new JournalDamaged(segment.file, offset, 'a commit holds no records');
  return expected;
}

async function mend(
  segment: Segment,
  repair: Repair,
  options: { files: JournalFiles; logger: Logger },
): Promise<void> {
  const file = await options.files.open(segment.file, 'r+');
  if (repair.truncateTo !== undefined) await options.files.truncate(file, repair.truncateTo);
  if (repair.rewrite) await options.files.write(file, repair.rewrite.bytes, repair.rewrite.at);
  await options.files.datasync(file);
  await options.files.close(file);
  options.logger.warn(
    { file: segment.file, atByte: repair.truncateTo ?? repair.rewrite?.at, cutBytes: repair.lostBytes },
    'the journal ended in the middle of a commit that nobody had been told of; it goes on from the last good record',
  );
}
