import type { Logger } from 'pino';
import { RetryableFault } from '../../../protocol/failures.ts';
import type { JournalFile, JournalFiles } from './files.ts';
import { buildFrame, FRAME_HEAD_BYTES, RECORD_HEAD_BYTES } from './frame.ts';
import type { PlaceIndex } from './place-index.ts';
import { SEGMENT_HEAD_BYTES, type Segment, segmentFile, segmentHead } from './segments.ts';

const COMMIT_BYTES_MAX = 8 << 20;
const REFUSED_DELAY_MS = 1_000;

interface Waiting {
  readonly record: Buffer;
  readonly durable: (sequence: number) => void;
  readonly failed: (error: unknown) => void;
}

export interface JournalWriter {
  append(record: Buffer): Promise<number>;
  health(): { readonly accepting: boolean; readonly reason?: string };
  /** Commits what waits, then closes the file. */
  close(): Promise<void>;
}

export interface WriterOptions {
  readonly folder: string;
  readonly files: JournalFiles;
  readonly index: PlaceIndex;
  readonly segments: Segment[];
  readonly lengthBytes: number;
  readonly segmentBytesMax: number;
  readonly logger: Logger;
  readonly onDurable: () => void;
}

/**
 * Group commit: whatever is asked for while one commit is being written and fsynced goes out together in the next.
 * First in, first out; one commit under way at a time.
 *
 * A write that fails is undone and refused; the journal stays usable and the next commit tries again. An fsync that
 * fails leaves unknown what the disk has (the kernel may have dropped the pages), so this process never writes again.
 */
export async function createWriter(options: WriterOptions): Promise<JournalWriter> {
  const { folder, files, index, segments, logger } = options;
  let file: JournalFile | undefined;
  let length = options.lengthBytes;
  let waiting: Waiting[] = [];
  let committing: Promise<void> | undefined;
  let refusedBecause: string | undefined;
  let failedBecause: string | undefined;
  let closed = false;

  if (segments.length > 0) file = await files.open(segments.at(-1)!.file, 'r+');

  const openNextSegment = async (): Promise<void> => {
    const firstSequence = index.count + 1;
    const name = segmentFile(folder, firstSequence);
    const next = await files.open(name, 'wx+');
    await files.write(next, segmentHead(firstSequence), 0);
    await files.datasync(next);
    await files.syncFolder(folder);
    if (file) await files.close(file);
    file = next;
    length = SEGMENT_HEAD_BYTES;
    segments.push({ file: name, firstSequence });
  };

  const takeGroup = (): Waiting[] => {
    let bytes = 0;
    let count = 0;
    while (
      count < waiting.length &&
      (count === 0 || bytes + waiting[count]!.record.length < COMMIT_BYTES_MAX)
    ) {
      bytes += waiting[count]!.record.length;
      count += 1;
    }
    const group = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return group;
  };

  const write = async (frame: Buffer): Promise<void> => {
    try {
      if (!file || length >= options.segmentBytesMax) await openNextSegment();
      await files.write(file!, frame, length);
    } catch (cause) {
      await undo(cause);
    }
  };

  const undo = async (cause: unknown): Promise<never> => {
    const code = (cause as NodeJS.ErrnoException).code ?? 'an error';
    refusedBecause = `the disk refused to write (${code}); free some space, nothing has to be restarted`;
    try {
      if (file) await files.truncate(file, length);
    } catch {
      // What stands beyond the durable length has no end mark, and is overwritten by the next commit.
    }
    logger.error({ code }, 'the journal could not be written; grants are refused until it can');
    throw new RetryableFault('log-unavailable', `The journal can't be written: ${code}`, REFUSED_DELAY_MS, {
      cause,
    });
  };

  const sync = async (): Promise<void> => {
    try {
      await files.datasync(file!);
    } catch (cause) {
      failedBecause =
        'an fsync failed, so it is unknown what the disk has; check the disk and restart the engine';
      logger.fatal({ error: (cause as Error).message }, failedBecause);
      throw new RetryableFault('outcome-unknown', 'The journal could not be fsynced', REFUSED_DELAY_MS, {
        cause,
      });
    }
  };

  const commit = async (group: readonly Waiting[]): Promise<void> => {
    const firstSequence = index.count + 1;
    const frame = buildFrame(
      group.map((one) => one.record),
      firstSequence,
    );
    try {
      await write(frame);
      await sync();
    } catch (error) {
      for (const one of group) one.failed(error);
      return;
    }
    refusedBecause = undefined;
    let start = length + FRAME_HEAD_BYTES;
    for (const one of group) {
      index.add(segments.length - 1, start + RECORD_HEAD_BYTES, one.record.length);
      start += RECORD_HEAD_BYTES + one.record.length;
    }
    length += frame.length;
    for (const [at, one] of group.entries()) one.durable(firstSequence + at);
    options.onDurable();
  };

  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = takeGroup();
      if (failedBecause) for (const one of group) one.failed(refusal(failedBecause));
      else await commit(group);
    }
    committing = undefined;
  };

  const refusal = (reason: string) => new RetryableFault('log-unavailable', reason, REFUSED_DELAY_MS);

  return {
    append(record) {
      if (closed) return Promise.reject(refusal('the journal is closed'));
      return new Promise((durable, failed) => {
        waiting.push({ record, durable, failed });
        committing ??= Promise.resolve().then(run);
      });
    },
    health() {
      const reason = failedBecause ?? refusedBecause ?? (closed ? 'the journal is closed' : undefined);
      return reason ? { accepting: false, reason } : { accepting: true };
    },
    async close() {
      closed = true;
      await committing;
      if (file) await files.close(file);
    },
  };
}
