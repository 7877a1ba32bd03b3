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

/** How much of a reader's fill it is. */
export const weightOf = (record: LogRecord): number => (record.kind === 'grants' ? record.orders.length : 1);

export function createReader(options: {
  files: JournalFiles;
  index: PlaceIndex;
  segments: readonly Segment[];
}): JournalReader {
  const { files, index, segments } = options;
  const cache = new Map<LogSequence, LogRecord>();
  let cachedOrders = 0;
  // Counted, because a Map from whose beginning things are taken walks over their graves to find its first.
  let oldest = index.count + 1;
  const opened = new Map<number, Promise<JournalFile>>();

  const fileOf = (segment: number): Promise<JournalFile> => {
    let file = opened.get(segment);
    if (!file) {
      file = files.open(segments[segment]!.file, 'r+');
      opened.set(segment, file);
    }
    return file;
  };

  /** As many records from `sequence` on as one read of the disk brings and the reader wants, at least one. */
  async function fromDisk(sequence: LogSequence, ordersWanted: number): Promise<LogRecord[]> {
    const first = index.of(sequence);
    let last = sequence;
    let end = first.offset + first.length;
    let orders = first.weight;
    while (last < index.count && orders < ordersWanted) {
      const next = index.of(last + 1);
      if (next.segment !== first.segment || next.offset + next.length > first.offset + READ_BYTES) break;
      end = next.offset + next.length;
      orders += next.weight;
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
        for (const record of cached ? [cached] : await fromDisk(next, ordersMax - orders)) {
          records.push(record);
          orders += weightOf(record);
          next += 1;
        }
      }
      return records;
    },
    async at(sequence) {
      if (!(sequence >= 1 && sequence <= index.count))
        throw new Error(`the journal has no record ${sequence}`);
      return cache.get(sequence) ?? (await fromDisk(sequence, 1))[0]!;
    },
    remember(record) {
      cache.set(record.sequence, record);
      cachedOrders += weightOf(record);
      for (; cachedOrders > CACHED_ORDERS_MAX; oldest += 1) {
        const dropped = cache.get(oldest);
        if (!dropped) continue;
        cache.delete(oldest);
        cachedOrders -= weightOf(dropped);
      }
    },
    async close() {
      for (const file of opened.values()) await files.close(await file);
    },
  };
}
