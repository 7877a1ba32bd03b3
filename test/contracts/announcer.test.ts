import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAnnouncer } from '../../src/control/announcer.ts';
import { createLocalSignals } from '../../src/engines/embedded/signals.ts';
import type { Signals } from '../../src/engines/ports.ts';
import { controlMigrations, createControlStore } from '../../src/engines/postgres/control-store/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { createAnnouncementSeal } from '../../src/guard/announcement-seal.ts';
import type { Announcement } from '../../src/protocol/announcement.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { testClock, until } from '../support/rig.ts';

const seal = createAnnouncementSeal(Buffer.alloc(32, 3));
let server: TestPostgres;
beforeAll(async () => {
  server = await startTestPostgres();
});
afterAll(() => server?.stop());

async function control(url: string, ways: readonly Signals[]) {
  const pool = openPool({ url, logger: quiet, connectionsMax: 4, applicationName: 'test' });
  await migrate(pool, controlMigrations);
  const announcer = createAnnouncer({
    store: createControlStore(pool),
    ways,
    seal,
    clock: testClock(1_000),
    logger: quiet,
    repeatEveryMs: 20,
  });
  const close = async (): Promise<void> => {
    await announcer.stop();
    await pool.end();
  };
  return { announcer, close };
}

it('loses no change of two controls that announce at the same moments', async () => {
  const url = await server.createDatabase();
  const way = createLocalSignals();
  const told: Announcement[] = [];
  way.subscribe((envelope) => told.push(seal.open(envelope)!));
  const [one, other] = [await control(url, [way]), await control(url, [way])];
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
