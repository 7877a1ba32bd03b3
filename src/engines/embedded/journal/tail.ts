import type { JournalFile, JournalFiles } from './files.ts';
import { SEGMENT_HEAD_BYTES, type Segment, segmentFile, segmentHead } from './segments.ts';

/** Bytes that must fit before a disk that was full counts as free again; so that it does not flap. */
const PROBE_BYTES = 1 << 20;

/** Why a frame was not appended. */
export class TailFault extends Error {
  override readonly name = 'TailFault';
  constructor(
    /** `nothing`: it will never be read from the journal. `unknown`: it may be on the disk. */
    readonly written: 'nothing' | 'unknown',
    /** Whether this process must never write again. */
    readonly isFinal: boolean,
    readonly code: string,
    cause: unknown,
  ) {
    super(`the journal could not be written (${code})`, { cause });
  }
}

/** The growing end of the journal. One call at a time. */
export interface JournalTail {
  /** Appends a frame and fsyncs; tells where it begins. Throws TailFault. */
  append(
    frame: Buffer,
    firstSequence: number,
  ): Promise<{ readonly segment: number; readonly offset: number }>;
  /** Whether the disk takes bytes again; leaves nothing behind. */
  canWrite(): Promise<boolean>;
  close(): Promise<void>;
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'an error';

/**
 * A write that fails is undone, durably: then nothing was promised and the next write may succeed. An fsync that fails
 * leaves unknown what the disk has (the kernel may have dropped the pages and call the next fsync a success), so it is
 * final. The file is never preallocated: the end mark must be the last thing that reaches it (frame.ts).
 */
export async function openTail(options: {
  folder: string;
  files: JournalFiles;
  segments: Segment[];
  lengthBytes: number;
  segmentBytesMax: number;
}): Promise<JournalTail> {
  const { folder, files, segments } = options;
  let length = options.lengthBytes;
  const last = segments.at(-1);
  let file: JournalFile | undefined = last && (await files.open(last.file, 'r+'));

  async function openNextSegment(firstSequence: number): Promise<void> {
    const name = segmentFile(folder, firstSequence);
    // An attempt that failed half-way may have left the file behind; it holds no frame.
    const next = await files.open(name, 'w+');
    try {
      await files.write(next, segmentHead(firstSequence), 0);
      await sync(next, 'nothing');
      await orFinal(files.syncFolder(folder), 'nothing');
    } catch (error) {
      await files.close(next);
      throw error;
    }
    const before = file;
    file = next;
    length = SEGMENT_HEAD_BYTES;
    segments.push({ file: name, firstSequence });
    if (before) await files.close(before);
  }

  /** A failure here is final. */
  const orFinal = (work: Promise<void>, written: 'nothing' | 'unknown'): Promise<void> =>
    work.catch((cause) => {
      throw new TailFault(written, true, codeOf(cause), cause);
    });
  const sync = (which: JournalFile, written: 'nothing' | 'unknown') =>
    orFinal(files.datasync(which), written);

  /** Cuts back to what is durable. Until that is durable itself, a crash might bring the refused frame back. */
  async function undo(): Promise<void> {
    if (!file) return;
    await orFinal(files.truncate(file, length), 'unknown');
    await sync(file, 'unknown');
  }

  async function write(frame: Buffer, firstSequence: number): Promise<void> {
    try {
      if (!file || length >= options.segmentBytesMax) await openNextSegment(firstSequence);
      await files.write(file!, frame, length);
    } catch (cause) {
      if (cause instanceof TailFault) throw cause;
      await undo();
      throw new TailFault('nothing', false, codeOf(cause), cause);
    }
  }

  return {
    async append(frame, firstSequence) {
      await write(frame, firstSequence);
      await sync(file!, 'unknown');
      const offset = length;
      length += frame.length;
      return { segment: segments.length - 1, offset };
    },
    async canWrite() {
      // Without a file yet, the next append finds out.
      if (!file) return true;
      const worked = await files.write(file, Buffer.alloc(PROBE_BYTES), length).then(
        () => true,
        () => false,
      );
      await undo();
      return worked;
    },
    async close() {
      if (file) await files.close(file);
      file = undefined;
    },
  };
}
