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
import { type Clock, instantMs } from '../../src/vocabulary/instant.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { testClock, until } from '../support/rig.ts';

const seal = createAnnouncementSeal(Buffer.alloc(32, 3));
let server: TestPostgres;
beforeAll(async () => {
  server = await startTestPostgres();
});
afterAll(() => server?.stop());

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

/** Each look finds it later: no two announcements would have one number by it. */
function goingOn(): Clock {
  let atMs = 1_000;
  const now = () => {
    atMs += 1;
    return instantMs(atMs);
  };
  return { now, monotonicMs: now };
}

it.each([
  ['whose clock stands', () => testClock(1_000)],
  ['whose clock goes on', goingOn],
])('loses no change of two controls that announce at the same moments, %s', async (_, clockOf) => {
  const url = await server.createDatabase();
  const way = createLocalSignals();
  const told: Announcement[] = [];
  way.subscribe((envelope) => told.push(seal.open(envelope)!));
  const clock = clockOf();
  const [one, other] = [await control(url, [way], clock), await control(url, [way], clock)];
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
});

async function ofCampaigns() {
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
  const announcer = createAnnouncer({ store, ways: [], seal, clock: testClock(1_000), logger: quiet });
  return { pool, store, allotments, announcer };
}

it('announces no older file behind a newer one, when two are applied at the same moment', async () => {
  const { pool, announcer, ...kept } = await ofCampaigns();
  const file = readFileSync('examples/spring-night.yaml', 'utf8');
  const newer = createCampaigns({ ...kept, announcer });
  const older = createCampaigns({
    ...kept,
    announcer: {
      ...announcer,
      async announce(next) {
        await newer.apply(file.replace('en: Cash packets', 'en: Cash'));
        return announcer.announce(next);
      },
    },
  });
  expect(await older.apply(file)).toMatchObject({ version: 1 });
  expect(announcer.current().campaigns).toMatchObject([{ version: 2 }]);
  await pool.end();
});

const NIGHT = readFileSync('examples/spring-night.yaml', 'utf8');
const moveTo = (rainId: number, time: string) => ({
  campaignId: 'spring-2027',
  phaseId: 'live',
  rainId,
  startsAtMs: Date.parse(`2027-02-05T${time}+08:00`),
});

it('checks a move against what stands by the time it is announced: readers would refuse all that follows', async () => {
  const { pool, announcer, ...kept } = await ofCampaigns();
  const campaigns = createCampaigns({ ...kept, announcer });
  const behind = (act: () => Promise<unknown>) =>
    createCampaigns({
      ...kept,
      announcer: {
        ...announcer,
        async announce(next) {
          await act();
          return announcer.announce(next);
        },
      },
    });
  await campaigns.apply(NIGHT);
  const another = behind(() => campaigns.cue(moveTo(1, '20:30:00')));
  expect(await another.cue(moveTo(2, '20:31:00'))).toMatchObject({ refused: 'malformed' });
  // Its end lies in the round that the new file has at 20:20.
  const file = behind(() => campaigns.apply(NIGHT.replace('20:08:00', '20:20:00')));
  expect(await file.cue(moveTo(2, '20:18:00'))).toMatchObject({ refused: 'malformed' });
  const standing = await announcer.load();
  expect(standing.cues).toEqual([]);
  expect(() => compileAnnounced(standing.campaigns, standing.cues)).not.toThrow();
  await pool.end();
});

it('announces at its start what a control that died had stored and not announced yet', async () => {
  const { pool, announcer, ...kept } = await ofCampaigns();
  const campaigns = createCampaigns({ ...kept, announcer });
  await campaigns.apply(NIGHT);
  const dying = createCampaigns({
    ...kept,
    announcer: { ...announcer, announce: () => Promise.reject(new Error('killed')) },
  });
  await expect(dying.apply(NIGHT.replace('en: Cash packets', 'en: Cash'))).rejects.toThrow('killed');
  await Promise.all([campaigns.load(), campaigns.load()]);
  expect((await announcer.load()).campaigns).toMatchObject([{ version: 2 }]);
  await pool.end();
});

it('never leaves the budgets of one file beside another, when two are applied at the same moment', async () => {
  const { pool, store, allotments, announcer } = await ofCampaigns();
  const newer = createCampaigns({ store, allotments, announcer });
  let applying: Promise<unknown> | undefined;
  const isWaiting = async () =>
    (await pool.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")).rows.length > 0;
  const older = createCampaigns({
    store,
    announcer,
    allotments: {
      ...allotments,
      async setBudgets(lines) {
        const refusal = await allotments.setBudgets(lines);
        let isApplied = false;
        applying = newer.apply(NIGHT.replace('packets: 60000', 'packets: 61000')).finally(() => {
          isApplied = true;
        });
        await until(async () => isApplied || isWaiting(), 'the other file is applied, or waits for this one');
        return refusal;
      },
    },
  });
  await older.apply(NIGHT);
  await applying;
  const { campaigns, cues } = await announcer.load();
  for (const { budgets, key } of [...compileAnnounced(campaigns, cues).values()][0]!.phases) {
    const lines = await allotments.budgets(key);
    for (const [sceneId, total] of budgets)
      expect(lines.find((line) => line.sceneId === sceneId)).toMatchObject({ total });
  }
  await pool.end();
});

it('keeps nothing of a campaign file whose budgets are refused', async () => {
  const { pool, store, allotments, announcer } = await ofCampaigns();
  const campaigns = createCampaigns({ store, allotments, announcer });
  const file = readFileSync('examples/spring-night.yaml', 'utf8');
  const applied = await campaigns.apply(file);
  expect(applied).toMatchObject({ version: 1 });
  const [standing] = await store.campaigns();
  const [phaseKey] = [...standing!.phaseKeys.values()];
  const [line] = await allotments.budgets(phaseKey!);
  // More is out than the file allows.
  await pool.query(
    'UPDATE allotment.line SET total_packets = total_packets + 1, leased_packets = total_packets + 1, remaining_packets = 0 WHERE phase_key = $1 AND scene_id = $2 AND rain_id = 0',
    [phaseKey, line!.sceneId],
  );
  const renamed = file.replace('en: Cash packets', 'en: Cash');
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
