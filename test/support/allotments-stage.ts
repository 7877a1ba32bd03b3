import type { Pool } from 'pg';
import { afterAll, beforeAll } from 'vitest';
import type { Allotments, BudgetLine, BudgetSetting } from '../../src/engines/ports.ts';
import { allotmentMigrations, createAllotments } from '../../src/engines/postgres/allotments/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { PhaseKey, RainId, SceneId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { seeded, testSeed } from './orders.ts';
import { type PostgresKind, quiet, startTestPostgres, type TestPostgres } from './postgres.ts';

export const phaseKey = 3 as PhaseKey;
const until = { dealUntilMs: instantMs(1_000), grantUntilMs: instantMs(2_000) };
/** A line of a budget; its packets are 10 yuan at most. */
export const line = (
  scene: string,
  rain: number | undefined,
  fen: number,
  packets: number,
  rule: BudgetSetting['rule'] = 'split',
) => ({
  phaseKey,
  sceneId: scene as SceneId,
  rainId: rain as RainId | undefined,
  total: { fen: BigInt(fen) as Fen, packets },
  packetCapFen: 1_000n as Fen,
  rule,
});
export const ask = (scene: string, rain: number | undefined, packetsWanted: number, fenWanted?: bigint) => ({
  phaseKey,
  sceneId: scene as SceneId,
  rainId: rain as RainId | undefined,
  holder: 'test',
  packetsWanted,
  ...(fenWanted === undefined ? {} : { fenWanted: fenWanted as Fen }),
  ...until,
});

export interface AllotmentsStage {
  readonly allotments: Allotments;
  readonly pool: Pool;
  readonly random: () => number;
  lineOf(scene: string, rain?: number, key?: PhaseKey): Promise<BudgetLine>;
}

/** Allotments over a server of their own, for the tests of one describe block. */
export function allotmentsOn(kind: PostgresKind): AllotmentsStage {
  const random = seeded(testSeed('allotments'));
  let server: TestPostgres;
  let pool: Pool;
  let allotments: Allotments;
  beforeAll(async () => {
    server = await startTestPostgres(kind);
    const url = await server.createDatabase();
    pool = openPool({ url, logger: quiet, connectionsMax: 16, applicationName: 'test' });
    await migrate(pool, allotmentMigrations);
    const retry = { tries: 20, sleepMs: () => new Promise<void>(setImmediate), random };
    const randomBelow = (below: bigint) => BigInt(Math.floor(random() * Number(below)));
    allotments = createAllotments({ pool, retry, randomBelow });
  });
  afterAll(async () => {
    await pool.end();
    await server.stop();
  });
  return {
    random,
    get allotments() {
      return allotments;
    },
    get pool() {
      return pool;
    },
    async lineOf(scene, rain, key = phaseKey) {
      const lines = await allotments.budgets(key);
      return lines.find((one) => one.sceneId === scene && one.rainId === rain)!;
    },
  };
}
