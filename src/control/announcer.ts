import type { Logger } from 'pino';
import type { ControlStore, Signals } from '../engines/ports.ts';
import type { AnnouncementSeal } from '../guard/announcement-seal.ts';
import { createPauses } from '../guard/pauses.ts';
import { type Announcement, NOTHING_ANNOUNCED } from '../protocol/announcement.ts';
import type { Clock } from '../vocabulary/instant.ts';

export interface Announcer {
  /** What stands at this moment; another control may just have changed it. */
  current(): Announcement;
  envelope(): Uint8Array | undefined;
  /** Reads what stands. Throws a RetryableFault when the database does not answer. */
  load(): Promise<Announcement>;
  /**
   * Changes what is announced: durable first, then told by every way. `next` may be called again when another control
   * was faster. Resolves once every way was tried; one that fails is repaired by the repetition.
   */
  announce(next: (now: Announcement) => Partial<Announcement>): Promise<Announcement>;
  start(): void;
  stop(): Promise<void>;
}

export interface AnnouncerOptions {
  readonly store: ControlStore;
  readonly ways: readonly Signals[];
  readonly seal: AnnouncementSeal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly repeatEveryMs?: number;
}

/** The same is said again and again: a lost cue, a way that was down, a reader that came late cost no more than this. */
const REPEAT_EVERY_MS = 3_000;

export function createAnnouncer(options: AnnouncerOptions): Announcer {
  const { store, ways, seal, clock, logger } = options;
  const pauses = createPauses();
  let standing: { announcement: Announcement; envelope: Uint8Array } | undefined;
  let running: Promise<void> = Promise.resolve();

  async function load(): Promise<Announcement> {
    const stored = await store.announcement();
    if (stored && stored.sequence > (standing?.announcement.sequence ?? 0)) {
      const announcement = seal.open(stored.envelope);
      if (!announcement)
        throw new Error(
          `announcement ${stored.sequence} in control's database was signed with another keyring; use the keys that belong to it`,
        );
      standing = { announcement, envelope: stored.envelope };
    }
    return standing?.announcement ?? NOTHING_ANNOUNCED;
  }

  async function tell(): Promise<void> {
    if (!standing) return;
    const { envelope, announcement } = standing;
    const told = await Promise.allSettled(ways.map((way) => way.publish(envelope, announcement.sequence)));
    for (const [at, one] of told.entries())
      if (one.status === 'rejected')
        logger.warn(
          { way: ways[at]!.name, reason: (one.reason as Error).message },
          'an announcement could not be told',
        );
  }

  async function run(): Promise<void> {
    while (!pauses.stopped) {
      await pauses.pause(options.repeatEveryMs ?? REPEAT_EVERY_MS);
      if (pauses.stopped) return;
      await load().catch((error: Error) =>
        logger.warn(
          { reason: error.message },
          'control’s database does not answer; what was announced stands',
        ),
      );
      await tell();
    }
  }

  return {
    current: () => standing?.announcement ?? NOTHING_ANNOUNCED,
    envelope: () => standing?.envelope,
    load,
    async announce(next) {
      for (;;) {
        const now = await load();
        // By the clock where that is higher, so that a database made anew is not taken for an old one.
        const sequence = Math.max(now.sequence + 1, clock.now());
        const announcement = { ...now, ...next(now), sequence, issuedAtMs: clock.now() };
        const envelope = seal.seal(announcement);
        if (!(await store.putAnnouncement(sequence, envelope, now.sequence))) continue;
        standing = { announcement, envelope };
        await tell();
        return announcement;
      }
    },
    start() {
      running = run();
    },
    async stop() {
      pauses.stop();
      await running;
    },
  };
}
