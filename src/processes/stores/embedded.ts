import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { createMemoryHotTotals } from '../../engines/embedded/hot-totals.ts';
import { type Journal, openJournal } from '../../engines/embedded/journal/index.ts';
import { startEmbeddedPostgres } from '../../engines/embedded/postgres/supervisor.ts';
import { createLocalSignals } from '../../engines/embedded/signals.ts';
import { createTokenBook } from '../../engines/embedded/token-book.ts';
import type { HotTotals, TokenBook } from '../../engines/ports.ts';
import { allotmentMigrations, createAllotments } from '../../engines/postgres/allotments/index.ts';
import { controlMigrations, createControlStore } from '../../engines/postgres/control-store/index.ts';
import { migrate } from '../../engines/postgres/migrate.ts';
import { openPool } from '../../engines/postgres/pool.ts';
import { createReissues, reissueMigrations } from '../../engines/postgres/reissue/index.ts';
import { createOperators } from '../../engines/postgres/reissue/operators.ts';
import { withRetry } from '../../engines/postgres/retryable.ts';
import { createLedger, ledgerMigrations } from '../../ledger/index.ts';
import { type Fences, isVoid, passFence } from '../../rules/fences.ts';
import { givenBy } from '../../rules/hot-total.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';
import type { Config } from '../config.ts';
import { random, randomBelow } from '../randomness.ts';
import type { BucketOwnership, Stores } from './index.ts';

const CONNECTIONS_MAX = 12;
const sleepMs = (delayMs: number): Promise<void> => delay(delayMs);

/** One process, no servers beside its own Postgres. Opens the journal (and fills the book from it) while Postgres starts. Throws with cause and remedy. */
export async function openEmbeddedStores(config: Config, logger: Logger): Promise<Stores> {
  const opening = Promise.allSettled([openPromises(config, logger), startPostgres(config, logger)]);
  const [promises, database] = await opening;
  if (promises.status === 'rejected' || database.status === 'rejected') {
    if (promises.status === 'fulfilled') await promises.value.log.close();
    if (database.status === 'fulfilled') await database.value.stop();
    throw (promises as PromiseRejectedResult).reason ?? (database as PromiseRejectedResult).reason;
  }
  const { url, name, stop } = database.value;
  const pool = openPool({ url, logger, connectionsMax: CONNECTIONS_MAX, applicationName: 'hongbao' });
  try {
    await withRetry(
      () =>
        migrate(pool, [
          ...controlMigrations,
          ...ledgerMigrations,
          ...allotmentMigrations,
          ...reissueMigrations,
        ]),
      {
        tries: 10,
        sleepMs,
        random,
      },
    );
  } catch (error) {
    await promises.value.log.close();
    await pool.end();
    await stop();
    throw error;
  }
  const retry = { tries: 5, sleepMs, random };
  const { log, book, fences, totals } = promises.value;
  const ledger = createLedger({ pool, retry });
  return {
    buckets: 1,
    logs: [log],
    book,
    totals,
    ways: [createLocalSignals()],
    ownership: ownerOfAll(log, fences),
    shared: false,
    setOff() {},
    status: async () => ({ journal: log.health(), logRecords: log.end() }),
    ledgerUrl: url,
    ledgerName: name,
    ledger,
    awards: ledger,
    allotments: createAllotments({ pool, randomBelow, retry }),
    control: createControlStore(pool),
    reissues: createReissues(pool),
    operators: createOperators(pool),
    async close() {
      await log.close();
      await pool.end();
      await stop();
    },
  };
}

/** The only bucket is this process's own from the start to the end. */
function ownerOfAll(log: Journal, fences: Fences): BucketOwnership {
  let leave = async (): Promise<void> => {};
  return {
    async start(owner) {
      owner.gained(0, log, fences);
      leave = () => owner.lost(0);
    },
    stop: () => leave(),
  };
}

async function openPromises(
  config: Config,
  logger: Logger,
): Promise<{ log: Journal; book: TokenBook; fences: Fences; totals: HotTotals }> {
  const totals = createMemoryHotTotals();
  const book = createTokenBook();
  const fences: Fences = new Map();
  const log = await openJournal({
    folder: path.join(config.dataFolder, 'journal'),
    logger,
    onRecord: (record, isDrained) => {
      if (record.kind === 'fence') {
        passFence(fences, record.sliceId, record.epoch, record.sequence);
        return;
      }
      const entries = record.orders
        .map((order, leafIndex) => ({ order, position: { sequence: record.sequence, leafIndex } }))
        .filter(({ order }) => !isVoid(fences, order.unit, record.sequence));
      // The embedded book is done when it returns; awaiting would only slow the scan.
      void book.record(entries).then((news) => {
        for (const order of news) totals.add(order.phaseKey, givenBy(order));
      });
      if (isDrained) void book.advance(record.orders, TOKEN_STATUS.credited);
    },
  });
  return { log, book, fences, totals };
}

async function startPostgres(
  config: Config,
  logger: Logger,
): Promise<{ url: string; name: string; stop: () => Promise<void> }> {
  const [ledgerUrl] = config.ledgerUrls;
  if (ledgerUrl !== undefined)
    return { url: ledgerUrl, name: 'postgres (HONGBAO_LEDGER)', stop: async () => {} };
  const server = await startEmbeddedPostgres({
    dataFolder: path.join(config.dataFolder, 'postgres'),
    logger,
  });
  return {
    url: server.url,
    name: `Postgres ${server.version.split('-')[0]}, embedded`,
    stop: () => server.stop(),
  };
}
