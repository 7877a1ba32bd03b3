import type { Logger } from 'pino';
import { compileAnnounced } from '../src/campaign/announced.ts';
import type { CampaignSnapshot } from '../src/campaign/snapshot.ts';
import type { ControlStore } from '../src/engines/ports.ts';
import { createAnnouncementSeal } from '../src/guard/announcement-seal.ts';

/** The campaigns that control has announced, looked at once a second; the last good ones while control is away. */
export interface InForce {
  campaign(id: string): CampaignSnapshot | undefined;
  stop(): void;
}

const LOOK_EVERY_MS = 1_000;

/** Throws when the first look fails: without any campaign nothing can be answered. */
export async function followCampaigns(options: {
  readonly control: Pick<ControlStore, 'announcement'>;
  readonly announcementKey: Buffer;
  readonly logger: Logger;
}): Promise<InForce> {
  const seal = createAnnouncementSeal(options.announcementKey);
  let campaigns: ReadonlyMap<string, CampaignSnapshot> = new Map();
  let sequence = 0;
  let isLooking = false;

  async function look(): Promise<void> {
    const newest = await options.control.announcement();
    if (!newest || newest.sequence <= sequence) return;
    const announcement = seal.open(newest.envelope);
    if (!announcement)
      throw new Error('Control’s announcement is not signed with these keys. Name the cluster’s own folder.');
    campaigns = compileAnnounced(announcement.campaigns, announcement.cues);
    sequence = newest.sequence;
  }

  await look();
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    look()
      .catch((error: Error) =>
        options.logger.warn({ reason: error.message }, 'what control announced can’t be read'),
      )
      .finally(() => {
        isLooking = false;
      });
  }, LOOK_EVERY_MS);
  timer.unref();
  return { campaign: (id) => campaigns.get(id), stop: () => clearInterval(timer) };
}
