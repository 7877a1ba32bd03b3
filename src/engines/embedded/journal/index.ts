import { mkdirSync } from 'node:fs';
import type { Logger } from 'pino';
import type { GrantLog, LogRecord, LogSequence } from '../../ports.ts';
import { readDrainedMark, writeDrainedMark } from './drained-mark.ts';
import { type JournalFiles, nodeFiles } from './files.ts';
import { lockFolder } from './lock.ts';
import { PlaceIndex } from './place-index.ts';
import { createReader } from './reader.ts';
import { encodeFence, encodeGrants } from './record-codec.ts';
import { recover } from './recover.ts';
import { createWriter } from './writer.ts';

export { JournalDamaged } from './segments.ts';

const SEGMENT_BYTES_MAX = 64 << 20;
const MARK_INTERVAL_MS = 200;

export interface JournalOptions {
  readonly folder: string;
  readonly logger: Logger;
  readonly segmentBytesMax?: number;
  readonly files?: JournalFiles;
  /** Told of every record that is there at the opening, oldest first, and whether it is known to be in the ledger. */
  readonly onRecord?: (record: LogRecord, isDrained: boolean) => void;
}

/**
 * The embedded grant log: an append-only journal in segments, checksummed and fsynced (docs/formats.md,
 * docs/decisions/0001). Throws JournalDamaged when it can't be trusted, and an Error when another process writes it.
 */
export async function openJournal(options: JournalOptions): Promise<GrantLog> {
  const { folder, logger } = options;
  const files = options.files ?? nodeFiles;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const unlock = lockFolder(folder);
  try {
    return await openLocked(options, files, unlock);
  } catch (error) {
    unlock();
    logger.error({ folder }, 'the journal did not open');
    throw error;
  }
}

async function openLocked(
  options: JournalOptions,
  files: JournalFiles,
  unlock: () => void,
): Promise<GrantLog> {
  const { folder, logger } = options;
  const index = new PlaceIndex();
  const mark = readDrainedMark(folder);
  const onRecord = (record: LogRecord) => options.onRecord?.(record, record.sequence <= mark);
  const { segments, lengthBytes } = await recover({ folder, files, index, logger, onRecord });
  const reader = createReader({ files, index, segments });
  let waiters: (() => void)[] = [];
  const onDurable = () => {
    const woken = waiters;
    waiters = [];
    for (const wake of woken) wake();
  };
  const segmentBytesMax = options.segmentBytesMax ?? SEGMENT_BYTES_MAX;
  const writer = await createWriter({
    folder,
    files,
    index,
    segments,
    lengthBytes,
    segmentBytesMax,
    logger,
    onDurable,
  });
  let drained = Math.min(mark, index.count);
  let marking: NodeJS.Timeout | undefined;
  const writeMark = () => {
    marking = undefined;
    try {
      writeDrainedMark(folder, drained);
    } catch (error) {
      // Behind is fine: the orders in between are credited again, which changes nothing.
      logger.warn({ error: (error as Error).message }, 'the drained mark could not be written');
    }
  };

  const appendRecord = async (
    record: Buffer,
    remember: (sequence: LogSequence) => LogRecord,
  ): Promise<LogSequence> => {
    const sequence = await writer.append(record);
    reader.remember(remember(sequence));
    return sequence;
  };

  return {
    append: (batch) =>
      appendRecord(encodeGrants(batch), (sequence) => ({ kind: 'grants', sequence, ...batch })),
    appendFence: ({ sliceId, epoch }) =>
      appendRecord(encodeFence({ sliceId, epoch }), (sequence) => ({
        kind: 'fence',
        sequence,
        sliceId,
        epoch,
      })),
    read: reader.read,
    at: reader.at,
    end: () => index.count,
    drained: () => drained,
    async acknowledge(sequence) {
      if (sequence <= drained) return;
      drained = sequence;
      marking ??= setTimeout(writeMark, MARK_INTERVAL_MS);
    },
    beyond(after, signal) {
      return new Promise((resolve) => {
        const look = () => {
          if (signal.aborted || index.count > after) {
            signal.removeEventListener('abort', look);
            resolve();
          } else waiters.push(look);
        };
        signal.addEventListener('abort', look, { once: true });
        look();
      });
    },
    health: writer.health,
    async close() {
      await writer.close();
      await reader.close();
      clearTimeout(marking);
      writeMark();
      unlock();
    },
  };
}
