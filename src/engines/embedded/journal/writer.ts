import type { Logger } from 'pino';
import { RetryableFault } from '../../../protocol/failures.ts';
import { buildFrame, FRAME_HEAD_BYTES, RECORD_HEAD_BYTES } from './frame.ts';
import type { PlaceIndex } from './place-index.ts';
import { type JournalTail, TailFault } from './tail.ts';

const COMMIT_BYTES_MAX = 8 << 20;
const REFUSED_DELAY_MS = 1_000;

interface Waiting {
  readonly record: Buffer;
  readonly weight: number;
  readonly durable: (sequence: number) => void;
  readonly failed: (error: unknown) => void;
}

export interface JournalWriter {
  /** `weight`: how many orders it holds. */
  append(record: Buffer, weight: number): Promise<number>;
  health(): { readonly accepting: boolean; readonly reason?: string };
  /** Commits what waits, then closes the file. */
  close(): Promise<void>;
}

export interface WriterOptions {
  readonly tail: JournalTail;
  readonly index: PlaceIndex;
  readonly logger: Logger;
  /** How long after a refused write the disk is tried again without being asked. */
  readonly probeIntervalMs: number;
  readonly onDurable: () => void;
}

const refusal = (reason: string, cause?: unknown) =>
  new RetryableFault('log-unavailable', reason, REFUSED_DELAY_MS, { cause });

/**
 * Group commit: whatever is asked for while one commit is being written and fsynced goes out together in the next.
 * First in, first out; one commit under way at a time.
 */
export function createWriter(options: WriterOptions): JournalWriter {
  const { tail, index, logger } = options;
  let waiting: Waiting[] = [];
  let working: Promise<void> | undefined;
  let probing: NodeJS.Timeout | undefined;
  let refusedBecause: string | undefined;
  let failedBecause: string | undefined;
  let closed = false;

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

  /** What a fault means for the journal, and what those are told who waited for it. */
  const noteFault = (error: unknown): Error => {
    const fault = error instanceof TailFault ? error : new TailFault('unknown', true, 'a bug', error);
    if (fault.isFinal) {
      failedBecause = `the disk failed (${fault.code}), so it is unknown what it has; check it and restart the engine`;
      logger.fatal({ error: fault.cause }, failedBecause);
    } else {
      refusedBecause = `the disk refused to write (${fault.code}); free some space, nothing has to be restarted`;
      logger.error({ code: fault.code }, 'the journal could not be written; grants are refused until it can');
      probeLater();
    }
    return fault.written === 'unknown'
      ? new RetryableFault('outcome-unknown', fault.message, REFUSED_DELAY_MS, { cause: fault })
      : refusal(fault.message, fault);
  };

  const noteWritable = (): void => {
    if (refusedBecause) logger.info('the journal can be written again');
    refusedBecause = undefined;
  };

  const commit = async (group: readonly Waiting[]): Promise<void> => {
    const firstSequence = index.count + 1;
    const frame = buildFrame(
      group.map((one) => one.record),
      firstSequence,
    );
    const { segment, offset } = await tail.append(frame, firstSequence);
    noteWritable();
    let start = offset + FRAME_HEAD_BYTES;
    for (const one of group) {
      const { weight, record } = one;
      index.add({ segment, offset: start + RECORD_HEAD_BYTES, length: record.length, weight });
      start += RECORD_HEAD_BYTES + one.record.length;
    }
    for (const [at, one] of group.entries()) one.durable(firstSequence + at);
    options.onDurable();
  };

  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = takeGroup();
      try {
        if (failedBecause) throw refusal(failedBecause);
        await commit(group);
      } catch (error) {
        const told = error instanceof RetryableFault ? error : noteFault(error);
        for (const one of group) one.failed(told);
      }
    }
    working = undefined;
  };

  /** Whoever asks for health first would otherwise never append again, and never learn that there is room. */
  const probeLater = (): void => {
    clearTimeout(probing);
    probing = setTimeout(() => {
      if (!closed && refusedBecause && !failedBecause) working ??= probe();
    }, options.probeIntervalMs);
    probing.unref();
  };

  const probe = async (): Promise<void> => {
    try {
      if (await tail.canWrite()) noteWritable();
      else probeLater();
    } catch (error) {
      noteFault(error);
    }
    await run();
  };

  return {
    append(record, weight) {
      if (closed) return Promise.reject(refusal('the journal is closed'));
      return new Promise((durable, failed) => {
        waiting.push({ record, weight, durable, failed });
        working ??= Promise.resolve().then(run);
      });
    },
    health() {
      const reason = failedBecause ?? refusedBecause ?? (closed ? 'the journal is closed' : undefined);
      return reason ? { accepting: false, reason } : { accepting: true };
    },
    async close() {
      closed = true;
      clearTimeout(probing);
      await working;
      await tail.close();
    },
  };
}
