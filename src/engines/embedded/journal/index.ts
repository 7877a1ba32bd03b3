import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import { RetryableFault } from '../../../protocol/failures.ts';
import type { GrantLog, LogReader, LogRecord, LogSequence } from '../../ports.ts';
import { lockFolder } from '../folder-lock.ts';
import { createDrainedMark, drainedMarkFile, readDrainedMark } from './drained-mark.ts';
import { type JournalFiles, nodeFiles } from './files.ts';
import { PlaceIndex } from './place-index.ts';
import { createReader } from './reader.ts';
import { encodeFence, encodeGrants } from './record-codec.ts';
import { recover } from './recover.ts';
import { JournalDamaged } from './segments.ts';
import { openTail } from './tail.ts';
import { createWaiters } from './waiters.ts';
import { createWriter } from './writer.ts';

export { JournalDamaged } from './segments.ts';

const SEGMENT_BYTES_MAX = 64 << 20;
const PROBE_INTERVAL_MS = 1_000;

export interface JournalOptions {
  readonly folder: string;
  readonly logger: Logger;
  readonly segmentBytesMax?: number;
  readonly files?: JournalFiles;
  /** How long after a refused write the disk is tried again without being asked. */
  readonly probeIntervalMs?: number;
  /** Told of every record that is there at the opening, oldest first, and whether it is known to be in the ledger. */
  readonly onRecord?: (record: LogRecord, isDrained: boolean) => void;
}

/** Written and read by one process. */
export type Journal = GrantLog & LogReader;

/**
 * The embedded grant log: an append-only journal in segments, checksummed and fsynced (docs/formats.md,
 * docs/decisions/0001). Throws JournalDamaged when it can't be trusted, and an Error when another process writes it.
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { folder, logger } = options;
  const files = options.files ?? nodeFiles;
  await makeFolder(folder, files);
  const unlock = lockFolder(folder, 'writer.lock', path.dirname(folder));
  try {
    return await openLocked(options, files, unlock);
  } catch (error) {
    unlock();
    logger.error({ folder }, 'the journal did not open');
    throw error;
  }
}

/** Makes the folder and every name above it that was missing, durably. */
async function makeFolder(folder: string, files: JournalFiles): Promise<void> {
  const topmost = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (topmost === undefined) return;
  for (let made = path.resolve(folder); made.length >= topmost.length; made = path.dirname(made))
    await files.syncFolder(path.dirname(made));
}

async function openLocked(
  options: JournalOptions,
  files: JournalFiles,
  unlock: () => void,
): Promise<Journal> {
  const { folder, logger } = options;
  const index = new PlaceIndex();
  const mark = readDrainedMark(folder);
  const onRecord = (record: LogRecord) => options.onRecord?.(record, record.sequence <= mark);
  const { segments, lengthBytes } = await recover({ folder, files, index, logger, onRecord });
  if (mark > index.count) {
    const what =
      `it ends with record ${index.count}, but records up to ${mark} were credited from it ` +
      '(should they be gone for good, remove this mark: crediting twice changes nothing)';
    throw new JournalDamaged(drainedMarkFile(folder), 0, what);
  }
  const reader = createReader({ files, index, segments });
  const waiters = createWaiters(() => index.count);
  const drainWaiters = createWaiters(() => drainedMark.at());
  const segmentBytesMax = options.segmentBytesMax ?? SEGMENT_BYTES_MAX;
  const tail = await openTail({ folder, files, segments, lengthBytes, segmentBytesMax });
  const probeIntervalMs = options.probeIntervalMs ?? PROBE_INTERVAL_MS;
  const writer = createWriter({ tail, index, logger, probeIntervalMs, onDurable: waiters.wake });
  const drainedMark = createDrainedMark(folder, mark, logger);
  let closing: Promise<void> | undefined;

  const append = async (
    record: Buffer,
    weight: number,
    remember: (sequence: LogSequence) => LogRecord,
  ): Promise<LogSequence> => {
    const sequence = await writer.append(record, weight);
    reader.remember(remember(sequence));
    return sequence;
  };

  const close = async (): Promise<void> => {
    await writer.close();
    await reader.close();
    drainedMark.close();
    unlock();
  };

  return {
    append: async (batch) =>
      append(encodeGrants(batch), batch.orders.length, (sequence) => ({
        kind: 'grants',
        sequence,
        ...batch,
      })),
    appendFence: async ({ sliceId, epoch }) =>
      append(encodeFence({ sliceId, epoch }), 1, (sequence) => ({ kind: 'fence', sequence, sliceId, epoch })),
    read: reader.read,
    at: reader.at,
    async endNow() {
      if (closing) throw new RetryableFault('log-unavailable', 'the log is closed', 1_000);
      return index.count;
    },
    end: () => index.count,
    drained: drainedMark.at,
    acknowledge: async (sequence) => {
      drainedMark.moveTo(sequence);
      drainWaiters.wake();
    },
    async untilDrained(sequence, signal) {
      await drainWaiters.beyond(sequence - 1, signal);
      if (drainedMark.at() < sequence)
        throw new RetryableFault('draining', 'the wait for crediting was given up', 1_000);
    },
    beyond: waiters.beyond,
    health: writer.health,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}
