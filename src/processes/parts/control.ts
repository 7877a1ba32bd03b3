import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { announcementRoute } from '../../control/announcement-http.ts';
import { type Announcer, createAnnouncer } from '../../control/announcer.ts';
import { type Campaigns, createCampaigns } from '../../control/campaigns.ts';
import { createReclaimer } from '../../control/reclaim.ts';
import type { AnnouncementSeal } from '../../guard/announcement-seal.ts';
import type { SliceId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Stores } from '../stores/index.ts';

export interface ControlDeps {
  readonly app: FastifyInstance;
  readonly stores: Stores;
  readonly seal: AnnouncementSeal;
  /** Shown by readers of the HTTP way. */
  readonly internalSecret: Buffer;
  /** Ends grants of a slice in this process; others see it in the database. */
  readonly refuseSlice: (sliceId: SliceId) => unknown;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

export interface ControlPart {
  readonly announcer: Announcer;
  readonly campaigns: Campaigns;
  start(): void;
  stop(): Promise<void>;
}

/** Longer than a gateway takes to learn of a fence in the database and to finish what it had begun. */
const RECLAIM_MARGIN_MS = 5_000;
const RECLAIM_EVERY_MS = 2_000;
/** A gateway asks about a slice once a second (slice-states.ts), and gives up an append after two. */
const FENCE_SETTLES_MS = 4_000;

/** Control: campaigns and what is announced of them, and the slices' way back into their budgets. */
export async function createControl(deps: ControlDeps): Promise<ControlPart> {
  const { stores, clock, logger } = deps;
  const announcer = createAnnouncer({
    store: stores.control,
    ways: stores.ways,
    seal: deps.seal,
    clock,
    logger,
  });
  const campaigns = createCampaigns({ store: stores.control, allotments: stores.allotments, announcer });
  const reclaimer = createReclaimer({
    allotments: stores.allotments,
    logs: stores.logs,
    ledger: stores.ledger,
    clock,
    logger,
    refuseSlice: deps.refuseSlice,
    marginMs: RECLAIM_MARGIN_MS,
    ...(stores.shared ? { settleMs: FENCE_SETTLES_MS } : {}),
    intervalMs: RECLAIM_EVERY_MS,
    onFatal: deps.onFatal,
  });
  await deps.app.register(announcementRoute, {
    announcer,
    mayRead: (bearer) => {
      const shown = Buffer.from(bearer ?? '', 'base64url');
      return shown.length === deps.internalSecret.length && timingSafeEqual(shown, deps.internalSecret);
    },
  });
  return {
    announcer,
    campaigns,
    start() {
      announcer.start();
      reclaimer.start();
    },
    async stop() {
      await announcer.stop();
      await reclaimer.stop();
    },
  };
}
