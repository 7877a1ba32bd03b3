import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compileAnnounced } from '../../src/campaign/announced.ts';
import { createAnnouncer } from '../../src/control/announcer.ts';
import { createCampaigns } from '../../src/control/campaigns.ts';
import { createLocalSignals } from '../../src/engines/embedded/signals.ts';
import type { Signals } from '../../src/engines/ports.ts';
import { allotmentMigrations, createAllotments } from '../../src/engines/postgres/allotments/index.ts';
import { controlMigrations, createControlStore } from '../../src/engines/postgres/control-store/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { createAnnouncementSeal } from '../../src/guard/announcement-seal.ts';
import type { Announcement } from '../../src/protocol/announcement.ts';
import { isRefusal } from '../../src/protocol/failures.ts';
import type { CampaignId } from '../../src/vocabulary/ids.ts';
import { type Clock, instantMs } from '../../src/vocabulary/instant.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { testClock, until } from '../support/rig.ts';

const seal = createAnnouncementSeal(Buffer.alloc(32, 3));
let server: TestPostgres;
beforeAll(async () => {
  server = await startTestPostgres();
});
afterAll(() => server?.stop());

/** Each look is a ms later than the one before. */
const ticking = (fromMs: number): Clock => {
  let nowMs = fromMs;
  return {
    now: () => {
      nowMs += 1;
      return instantMs(nowMs);
    },
    monotonicMs: () => nowMs,
  };
};

async function control(url: string, ways: readonly Signals[], clock: Clock = testClock(1_000)) {
  const pool = openPool({ url, logger: quiet, connectionsMax: 4, applicationName: 'test' });
  await migrate(pool, controlMigrations);
  const announcer = createAnnouncer({
    store: createControlStore(pool),
    ways,
    seal,
    clock,
    logger: quiet,
    repeatEveryMs: 20,
  });
  const close = async (): Promise<void> => {
    await announcer.stop();
    await pool.end();
  };
  return { announcer, close };
}

it.each([
  ['whose clocks stand still', [1_000, 1_000], testClock],
  ['whose clocks go on, one ahead of the other', [1_000, 1_500], ticking],
] as const)(
  'loses no change of two controls that announce at the same moments, %s',
  async (_, from, clockAt) => {
    const url = await server.createDatabase();
    const way = createLocalSignals();
    const told: Announcement[] = [];
    way.subscribe((envelope) => told.push(seal.open(envelope)!));
    const [one, other] = [
      await control(url, [way], clockAt(from[0])),
      await control(url, [way], clockAt(from[1])),
    ];
    const cue = (rainId: number) => ({ campaignId: 'gala', phaseId: 'live', rainId, startsAtMs: 1 });
    await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        (at % 2 ? one : other).announcer.announce((now) => ({ cues: [...now.cues, cue(at + 1)] })),
      ),
    );
    const last = await one.announcer.load();
    expect(last.cues.map(({ rainId }) => rainId).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, at) => at + 1),
    );
    const bySequence = new Map(told.map((announcement) => [announcement.sequence, announcement]));
    for (const announcement of told) expect(announcement).toEqual(bySequence.get(announcement.sequence));
    await Promise.all([one.close(), other.close()]);
  },
);

/** Campaigns of one database, as a control has them. */
async function desk() {
  const pool = openPool({
    url: await server.createDatabase(),
    logger: quiet,
    connectionsMax: 4,
    applicationName: 'test',
  });
  await migrate(pool, [...controlMigrations, ...allotmentMigrations]);
  const store = createControlStore(pool);
  const allotments = createAllotments({
    pool,
    randomBelow: () => 0n,
    retry: { tries: 2, sleepMs: async () => {}, random: () => 0 },
  });
  const announcer = createAnnouncer({ store, ways: [], seal, clock: ticking(1_000), logger: quiet });
  return { pool, store, allotments, announcer, campaigns: createCampaigns({ store, allotments, announcer }) };
}

const NIGHT = readFileSync('examples/spring-night.yaml', 'utf8');
const NIGHT_ID = 'spring-2027' as CampaignId;

it('announces nothing that readers refuse: of two moves that hold up one by one, one is refused', async () => {
  const { pool, announcer, campaigns } = await desk();
  await campaigns.apply(NIGHT);
  const to = (rainId: number) => ({
    campaignId: NIGHT_ID,
    phaseId: 'live',
    rainId,
    startsAtMs: Date.parse('2027-02-05T20:30:00+08:00'),
  });
  const cued = await Promise.all([campaigns.cue(to(1)), campaigns.cue(to(2))]);
  expect(cued.filter(isRefusal)).toMatchObject([{ refused: 'malformed' }]);
  const { campaigns: announced, cues } = await announcer.load();
  expect(cues).toHaveLength(1);
  expect(() => compileAnnounced(announced, cues)).not.toThrow();
  await pool.end();
});

it('checks a move against the file that is in force by the time it is announced', async () => {
  const { pool, store, allotments, announcer, campaigns } = await desk();
  await campaigns.apply(NIGHT);
  const late = createCampaigns({
    store,
    allotments,
    announcer: {
      ...announcer,
      async announce(next) {
        await campaigns.apply(NIGHT.replace('20:08:00', '20:20:00'));
        return announcer.announce(next);
      },
    },
  });
  // Its end lies in the round that the new file has at 20:20.
  const startsAtMs = Date.parse('2027-02-05T20:18:00+08:00');
  const cue = { campaignId: NIGHT_ID, phaseId: 'live', rainId: 2, startsAtMs };
  expect(await late.cue(cue)).toMatchObject({ refused: 'malformed' });
  expect((await announcer.load()).cues).toEqual([]);
  await pool.end();
});

it('never puts an older file of a campaign in the place of a newer one', async () => {
  const { pool, store, announcer, allotments, campaigns } = await desk();
  const slow = createCampaigns({
    allotments,
    announcer,
    store: {
      ...store,
      async storeCampaign(campaign) {
        const stored = await store.storeCampaign(campaign);
        await campaigns.apply(NIGHT.replace('en: Cash packets', 'en: Cash'));
        return stored;
      },
    },
  });
  await slow.apply(NIGHT);
  expect((await announcer.load()).campaigns).toMatchObject([{ version: 2 }]);
  await pool.end();
});

it('announces at its start what a control that died had stored and not announced yet', async () => {
  const { pool, store, allotments, announcer, campaigns } = await desk();
  await campaigns.apply(NIGHT);
  const dying = createCampaigns({
    store,
    allotments,
    announcer: { ...announcer, announce: () => Promise.reject(new Error('killed')) },
  });
  await expect(dying.apply(NIGHT.replace('en: Cash packets', 'en: Cash'))).rejects.toThrow('killed');
  await Promise.all([campaigns.load(), campaigns.load()]);
  expect((await announcer.load()).campaigns).toMatchObject([{ version: 2 }]);
  await pool.end();
});

it('keeps nothing of a campaign file whose budgets are refused', async () => {
  const { pool, store, allotments, announcer, campaigns } = await desk();
  const applied = await campaigns.apply(NIGHT);
  expect(applied).toMatchObject({ version: 1 });
  const [standing] = await store.campaigns();
  const [phaseKey] = [...standing!.phaseKeys.values()];
  const [line] = await allotments.budgets(phaseKey!);
  // More is out than the file allows.
  await pool.query(
    'UPDATE allotment.line SET total_packets = total_packets + 1, leased_packets = total_packets + 1, remaining_packets = 0 WHERE phase_key = $1 AND scene_id = $2 AND rain_id = 0',
    [phaseKey, line!.sceneId],
  );
  const renamed = NIGHT.replace('en: Cash packets', 'en: Cash');
  expect(await campaigns.apply(renamed)).toMatchObject({ refused: 'budget-exhausted' });
  expect(await store.campaigns()).toEqual([standing]);
  await announcer.stop();
  await pool.end();
});

it('says it again and again, so that a way that was down is told when it is back', async () => {
  const url = await server.createDatabase();
  const way = createLocalSignals();
  let isDown = true;
  const moody: Signals = {
    ...way,
    publish: async (envelope, sequence) => {
      if (isDown) throw new Error('down');
      await way.publish(envelope, sequence);
    },
  };
  const { announcer, close } = await control(url, [moody]);
  await announcer.announce(() => ({ creditsPerSecond: 5 }));
  expect(await way.latest()).toBeUndefined();
  announcer.start();
  isDown = false;
  await until(async () => (await way.latest()) !== undefined, 'the way is told');
  expect(seal.open((await way.latest())!)).toMatchObject({ creditsPerSecond: 5 });
  await close();
});

it('goes on above what it announced before, also on a database that was made anew', async () => {
  const [before, anew] = [
    await control(await server.createDatabase(), []),
    await control(await server.createDatabase(), []),
  ];
  const { sequence } = await before.announcer.announce(() => ({}));
  expect((await before.announcer.announce(() => ({}))).sequence).toBe(sequence + 1);
  expect((await anew.announcer.announce(() => ({}))).sequence).toBeGreaterThanOrEqual(1_000);
  await Promise.all([before.close(), anew.close()]);
});
