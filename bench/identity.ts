import { randomBytes } from 'node:crypto';
import pino from 'pino';
import { controlMigrations, createControlStore } from '../src/engines/postgres/control-store/index.ts';
import { migrate } from '../src/engines/postgres/migrate.ts';
import { openPool } from '../src/engines/postgres/pool.ts';
import { createPeople, type People, type PeopleOptions } from '../src/identity/people.ts';
import type { AppId } from '../src/vocabulary/ids.ts';
import { startPostgres } from '../tools/services.ts';

export interface IdentityFigures {
  /** People who come for the first time, a second: each id given once, fsynced. */
  readonly newPeoplePerSecond: number;
  /** People whom control knows and this process doesn't: as a gateway that has just started. */
  readonly knownPeoplePerSecond: number;
  /** The same, each asked for by a query of its own, on as many connections. */
  readonly newPeopleOneByOnePerSecond: number;
  readonly knownPeopleOneByOnePerSecond: number;
  readonly togetherOverOneByOne: number;
}

const APP = 1 as AppId;
const PEOPLE = 30_000;
const ONE_BY_ONE = 6_000;
/** Sessions that begin at the same moment. */
const UNDER_WAY = 2_000;
/** With more, those who wait for a connection would wait for too long. */
const ONE_BY_ONE_UNDER_WAY = 64;
const CONNECTIONS = 12;

/** The curtain rises: everybody's session begins, one Postgres says who they are. */
export async function benchIdentity(): Promise<IdentityFigures> {
  const server = await startPostgres();
  const logger = pino({ level: 'silent' });
  const pool = openPool({
    url: await server.createDatabase(),
    logger,
    connectionsMax: CONNECTIONS,
    applicationName: 'bench',
  });
  try {
    await migrate(pool, controlMigrations);
    const store = createControlStore(pool);
    const identityKey = randomBytes(32);
    const process = (over: PeopleOptions['store']): People =>
      createPeople({
        store: over,
        identityKey,
        logger,
        monotonicMs: () => performance.now(),
        onJoined: () => {},
        onPhone: () => {},
      });
    /** What was gathered is taken apart again. */
    const oneByOne: PeopleOptions['store'] = {
      ...store,
      personsFor: async (users) => (await Promise.all(users.map((user) => store.personsFor([user])))).flat(),
    };

    await comeTo(process(store), 'warm', UNDER_WAY);
    const newPeopleOneByOnePerSecond = await comeTo(
      process(oneByOne),
      'alone',
      ONE_BY_ONE,
      ONE_BY_ONE_UNDER_WAY,
    );
    const newPeoplePerSecond = await comeTo(process(store), 'together', PEOPLE);
    const knownPeopleOneByOnePerSecond = await comeTo(
      process(oneByOne),
      'alone',
      ONE_BY_ONE,
      ONE_BY_ONE_UNDER_WAY,
    );
    const knownPeoplePerSecond = await comeTo(process(store), 'together', PEOPLE);
    return {
      newPeoplePerSecond,
      knownPeoplePerSecond,
      newPeopleOneByOnePerSecond,
      knownPeopleOneByOnePerSecond,
      togetherOverOneByOne: newPeoplePerSecond / newPeopleOneByOnePerSecond,
    };
  } finally {
    await pool.end();
    await server.stop();
  }
}

async function comeTo(people: People, name: string, count: number, underWay = UNDER_WAY): Promise<number> {
  const startedMs = performance.now();
  let next = 0;
  const arrive = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await people.find(APP, `${name}-${next}`, undefined);
    }
  };
  await Promise.all(Array.from({ length: underWay }, arrive));
  return Math.round((count / (performance.now() - startedMs)) * 1_000);
}
