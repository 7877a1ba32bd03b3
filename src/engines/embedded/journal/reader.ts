import type { LogRecord, LogSequence } from '../../ports.ts';
import type { JournalFile, JournalFiles } from './files.ts';
import { RECORD_HEAD_BYTES, recordAt } from './frame.ts';
import type { PlaceIndex } from './place-index.ts';
import { decodeRecord } from './record-codec.ts';
import { JournalDamaged, type Segment } from './segments.ts';

/** Orders kept in memory: what was appended last is credited next. */
const CACHED_ORDERS_MAX = 20_000;
const READ_BYTES = 1 << 20;

export interface JournalReader {
  read(after: LogSequence, ordersMax: number): Promise<readonly LogRecord[]>;
  at(sequence: LogSequence): Promise<LogRecord>;
  /** Keeps a record that was just made durable, so that the next reader needs no disk. */
  remember(record: LogRecord): void;
  close(): Promise<void>;
}

const weight = (record: LogRecord): number => (record.kind === 'grants' ? record.orders.length : 1);

export function createReader(options: {
  files: JournalFiles;
  index: PlaceIndex;
  segments: readonly Segment[];
}): JournalReader {
  const { files, index, segments } = options;
  const cache = new Map<LogSequence, LogRecord>();
  let cachedOrders = 0;
  const opened = new Map<number, Promise<JournalFile>>();

  const fileOf = (segment: number): Promise<JournalFile> => {
    let file = opened.get(segment);
    if (!file) {
      file = files.open(segments[segment]!.file, 'r+');
      opened.set(segment, file);
    }
    return file;
  };

  /** As many records from `sequence` on as one read of the disk brings, at least one. */
  async function fromDisk(sequence: LogSequence): Promise<LogRecord[]> {
    const first = index.of(sequence);
    let last = sequence;
    let end = first.offset + first.length;
    while (last < index.count) {
      const next = index.of(last + 1);
      if (next.segment !== first.segment || next.offset + next.length > first.offset + READ_BYTES) break;
      end = next.offset + next.length;
      last += 1;
    }
    const start = first.offset - RECORD_HEAD_BYTES;
    const bytes = Buffer.allocUnsafe(end - start);
    const got = await files.read(await fileOf(first.segment), bytes, start);
    const records: LogRecord[] = [];
    for (let at = sequence; at <= last; at += 1) {
      const place = index.of(at);
      const from = place.offset - start;
      // Checked again: the disk may have changed its mind since the opening.
      const found = from + place.length <= got ? recordAt(bytes, from - RECORD_HEAD_BYTES) : undefined;
      const record =
        found?.sequence === at && found.end === from + place.length
          ? decodeRecord(at, bytes.subarray(found.start, found.end))
          : undefined;
      if (!record) {
        throw new JournalDamaged(
          segments[first.segment]!.file,
          place.offset,
          `record ${at} was good and is not any more`,
        );
      }
      records.push(record);
    }
    return records;
  }

  return {
    async read(after, ordersMax) {
      const records: LogRecord[] = [];
      let orders = 0;
      let next = after + 1;
      while (next <= index.count && orders < ordersMax) {
        const cached = cache.get(next);
        for (const record of cached ? [cached] : await fromDisk(next)) {
          if (orders >= ordersMax) break;
          records.push(record);
          orders += weight(record);
          next += 1;
        }
      }
      return records;
    },
    async at(sequence) {
      if (!(sequence >= 1 && sequence <= index.count))
        throw new Error(`the journal has no record ${sequence}`);
      return cache.get(sequence) ?? (await fromDisk(sequence))[0]!;
    },
    remember(record) {
      cache.set(record.sequence, record);
      cachedOrders += weight(record);
      for (const [sequence, oldest] of cache) {
        if (cachedOrders <= CACHED_ORDERS_MAX) break;
        cache.delete(sequence);
        cachedOrders -= weight(oldest);
      }
    },
    async close() {
      for (const file of opened.values()) await files.close(await file);
    },
  };
}
