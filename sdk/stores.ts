import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Allotments, Awards, ControlStore, Ledger, TokenBook } from '../src/engines/ports.ts';
import { createAllotments } from '../src/engines/postgres/allotments/index.ts';
import { createControlStore } from '../src/engines/postgres/control-store/index.ts';
import { openPool } from '../src/engines/postgres/pool.ts';
import { createShardMap } from '../src/engines/postgres/shard-map/index.ts';
import { connectRedis } from '../src/engines/redis/client.ts';
import { createRedisTokenBook } from '../src/engines/redis/token-book.ts';
import { createGuardedBook } from '../src/guard/guarded-book.ts';
import { createLedger, openShardedLedger } from '../src/ledger/index.ts';
import { systemClock } from '../src/processes/clock.ts';
import { random, randomBelow } from '../src/processes/randomness.ts';
import { RetryableFault } from '../src/protocol/failures.ts';
import { openKeyring } from '../src/stations/4-seal/keyring.ts';
import { keyringFile } from '../src/stations/4-seal/keyring-file.ts';

export interface StoresOptions {
  /** postgres:// URL of control's database (HONGBAO_CONTROL); of an engine that keeps everything itself, of its Postgres. */
  readonly databaseUrl: string;
  /** redis:// URL of the token book (HONGBAO_BOOK). Without it only what is credited is seen. */
  readonly bookUrl?: string;
  /** The cluster's name (HONGBAO_CLUSTER). */
  readonly space?: string;
  /** How many buckets it was made with (HONGBAO_BUCKETS); the plan of the ledger's shards says it, where there is one. */
  readonly buckets?: number;
  /** The engine's keys (HONGBAO_KEYS): who is who in an app, and whose announcements are control's. */
  readonly keysFolder: string;
  /** Postgres connections to each database. */
  readonly connectionsMax?: number;
}

export interface OpenedStores {
  readonly ledger: Ledger;
  readonly awards: Pick<Awards, 'awards'>;
  readonly book: TokenBook;
  readonly control: ControlStore;
  readonly allotments: Allotments;
  readonly secrets: { readonly identity: Buffer; readonly announcement: Buffer };
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 4;
const BUCKETS = 16;
const STATEMENT_MS_MAX = 6_000;
/** Only the engine writes wins; the library never records one. */
const NEVER_RECORDED_MS = 1;

/** Opens what the engine's processes keep, and changes nothing of it. Throws with cause and remedy. */
export async function openStores(options: StoresOptions, logger: Logger): Promise<OpenedStores> {
  if (!existsSync(keyringFile(options.keysFolder)))
    throw new Error(`There is no keyring in ${options.keysFolder}. Name the folder of the engine’s keys.`);
  const { secrets } = openKeyring(options.keysFolder, systemClock);
  const settings = {
    logger,
    connectionsMax: options.connectionsMax ?? CONNECTIONS_MAX,
    applicationName: 'hongbao-sdk',
    statementMsMax: STATEMENT_MS_MAX,
  };
  const pool = openPool({ ...settings, url: options.databaseUrl });
  const retry = { tries: 3, sleepMs: (ms: number) => delay(ms), random };
  try {
    const { ledger, buckets } = await openLedger();
    const { book, closeBook } = openBook(options, buckets ?? options.buckets ?? BUCKETS, logger);
    return {
      ledger,
      awards: ledger,
      book,
      control: createControlStore(pool),
      allotments: createAllotments({ pool, randomBelow, retry }),
      secrets,
      async close() {
        await closeBook();
        // The one ledger there is without shards closes its pool, which is control's.
        await ledger.close();
        if (buckets !== undefined) await pool.end();
      },
    };
  } catch (error) {
    await pool.end();
    throw error;
  }

  async function openLedger() {
    if (!(await isSharded(pool))) return { ledger: createLedger({ pool, retry }), buckets: undefined };
    const map = createShardMap(pool);
    const plan = await map.read();
    const ledger = await openShardedLedger({
      readPlan: map.read,
      openPool: ({ url }) => openPool({ ...settings, url }),
      retry,
      logger,
      monotonicMs: systemClock.monotonicMs,
    });
    return { ledger, buckets: plan!.buckets };
  }
}

async function isSharded(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query<{ sharded: boolean }>(
    "SELECT to_regclass('shard_map.shard') IS NOT NULL AS sharded",
  );
  return rows[0]!.sharded;
}

function openBook(
  { bookUrl, space = 'hongbao' }: StoresOptions,
  buckets: number,
  logger: Logger,
): { readonly book: TokenBook; readonly closeBook: () => Promise<void> } {
  if (bookUrl === undefined) return { book: NO_BOOK, closeBook: async () => {} };
  const client = connectRedis({ url: bookUrl, logger, random });
  const redis = createRedisTokenBook({ client, space, buckets, winsTtlMs: () => NEVER_RECORDED_MS, random });
  const book = createGuardedBook({ book: redis, buckets, logger, random });
  return {
    book,
    async closeBook() {
      book.stop();
      await client.close();
    },
  };
}

const away = async (): Promise<never> => {
  throw new RetryableFault(
    'book-unavailable',
    'no token book is named; an engine by itself keeps its own',
    0,
  );
};
/** An engine that keeps everything itself has its book in its own memory, where nobody else can look. */
const NO_BOOK: TokenBook = {
  record: away,
  advance: away,
  outstandingOf: away,
  winsOf: away,
  takeTurn: away,
  isWhole: away,
  outstandingCount: away,
};
