import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import type { Signals } from '../engines/ports.ts';
import { type Announcement, NOTHING_ANNOUNCED } from '../protocol/announcement.ts';
import type { AnnouncementSeal } from './announcement-seal.ts';

export interface AnnouncementReader {
  /** Takes the last good one from the disk, then whatever newer any way knows, and listens from then on. */
  start(): Promise<void>;
  current(): Announcement;
  stop(): void;
}

export interface AnnouncementReaderOptions {
  readonly ways: readonly Signals[];
  readonly seal: AnnouncementSeal;
  /** Where the last good one is kept. */
  readonly file: string;
  /** Puts it in force, whole. Throws when it does not hold up: then the one before stays in force. */
  readonly apply: (announcement: Announcement) => void;
  readonly logger: Logger;
}

/** The one arrow from control to data: signed, numbered, by several ways; first wins, and the last good one is kept. */
export function createAnnouncementReader(options: AnnouncementReaderOptions): AnnouncementReader {
  const { ways, seal, logger } = options;
  let current = NOTHING_ANNOUNCED;
  let refusedSequence = 0;
  let ends: (() => void)[] = [];

  function take(envelope: Uint8Array, from: string): void {
    const announcement = seal.open(envelope);
    if (!announcement) {
      logger.error({ from }, 'an announcement whose signature does not hold was ignored');
      return;
    }
    const { sequence } = announcement;
    if (sequence <= current.sequence || sequence === refusedSequence) return;
    try {
      options.apply(announcement);
    } catch (error) {
      refusedSequence = sequence;
      logger.error(
        { from, sequence, reason: (error as Error).message },
        'an announcement does not hold up; the last good one stays in force',
      );
      return;
    }
    current = announcement;
    if (from !== 'disk') keep(envelope);
  }

  function keep(envelope: Uint8Array): void {
    try {
      mkdirSync(path.dirname(options.file), { recursive: true, mode: 0o700 });
      writeFileSync(`${options.file}.next`, envelope, { mode: 0o600 });
      renameSync(`${options.file}.next`, options.file);
    } catch (error) {
      logger.warn({ reason: (error as Error).message }, 'the announcement could not be kept on disk');
    }
  }

  function readKept(): Uint8Array | undefined {
    try {
      return readFileSync(options.file);
    } catch {
      return undefined;
    }
  }

  return {
    current: () => current,
    async start() {
      const kept = readKept();
      if (kept) take(kept, 'disk');
      ends = ways.map((way) => way.subscribe((envelope) => take(envelope, way.name)));
      await Promise.allSettled(
        ways.map(async (way) => {
          const newest = await way.latest();
          if (newest) take(newest, way.name);
        }),
      );
    },
    stop() {
      for (const end of ends) end();
      ends = [];
    },
  };
}
