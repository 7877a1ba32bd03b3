import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Pool } from 'pg';
import { createAnnouncer } from '../../src/control/announcer.ts';
import { createCampaigns } from '../../src/control/campaigns.ts';
import type { Allotments, Awards, ControlStore, Ledger } from '../../src/engines/ports.ts';
import { allotmentMigrations, createAllotments } from '../../src/engines/postgres/allotments/index.ts';
import { controlMigrations, createControlStore } from '../../src/engines/postgres/control-store/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { createAnnouncementSeal } from '../../src/guard/announcement-seal.ts';
import { userKeyOf } from '../../src/guard/sessions.ts';
import { createLedger, ledgerMigrations } from '../../src/ledger/index.ts';
import { systemClock } from '../../src/processes/clock.ts';
import { random, randomBelow } from '../../src/processes/randomness.ts';
import { openKeyring } from '../../src/stations/4-seal/keyring.ts';
import type { ActId, AppId, PhaseId, PhaseKey } from '../../src/vocabulary/ids.ts';
import { quiet, startTestPostgres } from './postgres.ts';

/** What the engine keeps, with a campaign in force, for a library that stands beside the engine. */
export interface SdkRig {
  readonly databaseUrl: string;
  readonly keysFolder: string;
  readonly pool: Pool;
  readonly ledger: Ledger & Awards;
  readonly allotments: Allotments;
  readonly control: ControlStore;
  readonly phaseKey: PhaseKey;
  /** As a session gives it. */
  actIdOf(user: string): Promise<ActId>;
  /** Binds one phone number to both. */
  join(user: string, other: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startSdkRig(campaignFile = 'examples/gala.yaml'): Promise<SdkRig> {
  const server = await startTestPostgres();
  const databaseUrl = await server.createDatabase();
  const keysFolder = mkdtempSync(path.join(tmpdir(), 'hongbao-sdk-'));
  const { secrets } = openKeyring(keysFolder, systemClock);
  const pool = openPool({ url: databaseUrl, logger: quiet, connectionsMax: 8, applicationName: 'test' });
  await migrate(pool, [...controlMigrations, ...ledgerMigrations, ...allotmentMigrations]);
  const retry = { tries: 5, sleepMs: async () => {}, random };
  const control = createControlStore(pool);
  const allotments = createAllotments({ pool, randomBelow, retry });
  const announcer = createAnnouncer({
    store: control,
    ways: [],
    seal: createAnnouncementSeal(secrets.announcement),
    clock: systemClock,
    logger: quiet,
  });
  const applied = await createCampaigns({ store: control, allotments, announcer }).apply(
    readFileSync(campaignFile, 'utf8'),
  );
  if (!('id' in applied)) throw new Error(`${campaignFile} was refused: ${JSON.stringify(applied)}`);
  const [campaign] = await control.campaigns();
  const keyOf = (user: string) => userKeyOf(secrets.identity, 1 as AppId, user);
  return {
    databaseUrl,
    keysFolder,
    pool,
    ledger: createLedger({ pool, retry }),
    allotments,
    control,
    phaseKey: campaign!.phaseKeys.get('live' as PhaseId)!,
    actIdOf: async (user) =>
      (await control.personsFor([{ appId: 1 as AppId, userKey: keyOf(user) }]))[0]!.given,
    async join(...users) {
      const phoneKey = randomBytes(32);
      for (const user of users) await control.bindPhone(1 as AppId, keyOf(user), phoneKey, false);
    },
    async stop() {
      await announcer.stop();
      await pool.end();
      await server.stop();
      rmSync(keysFolder, { recursive: true, force: true });
    },
  };
}
