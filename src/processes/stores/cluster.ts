import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { openJournal } from '../../engines/embedded/journal/index.ts';
import { createHttpPollSignals } from '../../engines/http-poll/signals.ts';
import { createAbsence } from '../../engines/jetstream/absence.ts';
import { connectNats, type NatsLink } from '../../engines/jetstream/connection.ts';
import { createJetStreamLog } from '../../engines/jetstream/grant-log.ts';
import { openJournaledLog } from '../../engines/jetstream/journaled-log.ts';
import { createMissedWord } from '../../engines/jetstream/missed.ts';
import { rememberedStreams } from '../../engines/jetstream/remembered-streams.ts';
import { openNatsSignals } from '../../engines/jetstream/signals.ts';
import { ensureStream, ensureStreams, type PastLog } from '../../engines/jetstream/streams.ts';
import type { GrantLog, Signals } from '../../engines/ports.ts';
import { createAllotments } from '../../engines/postgres/allotments/index.ts';
import { createControlStore } from '../../engines/postgres/control-store/index.ts';
import { openPool } from '../../engines/postgres/pool.ts';
import { createReissues } from '../../engines/postgres/reissue/index.ts';
import { createOperators } from '../../engines/postgres/reissue/operators.ts';
import { createShardMap } from '../../engines/postgres/shard-map/index.ts';
import { connectRedis } from '../../engines/redis/client.ts';
import { createRedisSignals } from '../../engines/redis/signals.ts';
import { createRedisTokenBook } from '../../engines/redis/token-book.ts';
import { createGuardedBook } from '../../guard/guarded-book.ts';
import { openKeyring } from '../../stations/4-seal/keyring.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { ClusterConfig } from '../config-cluster.ts';
import { random, randomBelow } from '../randomness.ts';
import { createBucketOwnership } from './bucket-ownership.ts';
import { openClusterLedger } from './cluster-ledger.ts';
import { openClusterTotals } from './cluster-totals.ts';
import type { Stores } from './index.ts';
import { switchable } from './switchable-log.ts';
import { untilItIs } from './until.ts';

const CONNECTIONS_MAX = 12;
const DAY_MS = 86_400_000;
/** Caps and first answers hold for a phase; nobody asks again for a packet of a week ago. */
const WINS_KEPT_MS = 7 * DAY_MS;

/** The engines of a cluster: JetStream, Redis Cluster, Postgres shards, control's Postgres; and this process's journal. */
export async function openClusterStores(
  config: Config,
  cluster: ClusterConfig,
  logger: Logger,
): Promise<Stores> {
  const { buckets, space } = cluster;
  const retry = { tries: 5, sleepMs: (ms: number) => delay(ms), random };
  const pool: Pool = openPool({
    url: (config.controlDatabaseUrl ?? config.ledgerUrls[0])!,
    logger,
    connectionsMax: CONNECTIONS_MAX,
    applicationName: `hongbao-${config.roles.join('-')}`,
  });
  const ledger = await openClusterLedger({ config, cluster, controlPool: pool, retry, logger });
  const link = await connectNats({
    url: cluster.logUrl,
    name: `hongbao ${config.roles.join(' ')} ${process.pid}`,
    clock: systemClock,
    logger,
    random,
  });
  const bootId = randomUUID();
  const redis = connectRedis({ url: cluster.bookUrl, logger, random });
  const restorable = createRedisTokenBook({
    client: redis,
    space,
    buckets,
    winsTtlMs: () => WINS_KEPT_MS,
    random,
  });
  const totals = openClusterTotals({ cluster, instance: bootId, bookClient: redis, logger });
  const missed = createMissedWord(link, space);
  const book = createGuardedBook({
    book: restorable,
    buckets,
    logger,
    random,
    others: { tell: missed.tell, monotonicMs: systemClock.monotonicMs },
  });

  // The log: this process's journal, and the stream of each bucket.
  const allotments = createAllotments({ pool, randomBelow, retry });
  const journal = await openJournal({
    folder: path.join(config.dataFolder, 'journal'),
    logger,
  });
  const settings = {
    space,
    buckets,
    replicas: cluster.logReplicas,
    bytesMax: cluster.logBucketBytes,
    monitoringUrls: cluster.logMonitoringUrls,
  };
  const remembered = rememberedStreams({
    file: path.join(config.dataFolder, 'streams.json'),
    // Who starts while control's database is away goes by what is on its disk, here as elsewhere.
    cluster: await createShardMap(pool)
      .clusterId()
      .catch(() => undefined),
    drained: journal.drained(),
    logger,
  });
  let hadLife = false;
  const past: PastLog = {
    // Where anything was ever leased there was a log.
    async wasThere(bucket) {
      if (remembered.of(bucket) !== undefined) return true;
      hadLife ||= (await allotments.unclosed()).length > 0 || (await ledger.ledger.fences()).length > 0;
      return hadLife;
    },
    fences: () => ledger.ledger.fences(),
    absences: Array.from({ length: buckets }, () => createAbsence(systemClock)),
    // Nothing that the book knows is promised anew before the journals have had their turn.
    beforeOpening: (bucket) => restorable.tear(bucket).catch(() => {}),
  };
  /** Whoever asks with these has the proof already. */
  const proven = Array.from({ length: buckets }, () => createAbsence(systemClock, 0));
  await untilItIs('the log', logger, () => ensureStreams(link, settings, past), isNotAFlaw);
  const streams = Array.from({ length: buckets }, (_, bucket) =>
    createJetStreamLog({
      link,
      space,
      bucket,
      bootId,
      replicas: cluster.logReplicas,
      life: {
        known: remembered.of(bucket),
        isFirst: remembered.areForeign,
        adopt: (generation) => remembered.note(bucket, generation),
        // One of many processes is enough.
        remake: async () => {
          await delay(Number(randomBelow(REMADE_WITHIN_MS)));
          await ensureStream(link, settings, bucket, { ...past, absences: proven });
        },
      },
    }),
  );
  const tear = onceAWhile((bucket) => restorable.tear(bucket));
  const journaled = await openJournaledLog({
    journal,
    streams,
    logger,
    // What is replayed may be void, which only a look from the log's beginning tells: the bookkeeper's.
    onReplayed: tear,
    onComplete: remembered.note,
    foreignUpTo: remembered.foreignUpTo,
  });
  const log = switchable(Array.from({ length: buckets }, (_, bucket): GrantLog => journaled.bucket(bucket)));
  const ways = await openWays(
    config,
    cluster,
    link,
    createRedisSignals({ client: redis, space, logger }),
    logger,
  );
  const ownership = createBucketOwnership({
    link,
    cluster,
    memberId: `${process.pid}-${bootId}`,
    logger,
    hearMissed: (bucket) => missed.hear(bucket, restorable.tear),
  });

  return {
    buckets,
    ledgerUrl: config.ledgerUrls.join(' '),
    ledgerName: `${ledger.shards} Postgres shards`,
    ledger: ledger.ledger,
    awards: ledger.ledger,
    allotments,
    control: createControlStore(pool),
    reissues: createReissues(pool),
    operators: createOperators(pool),
    logs: log.logs,
    book,
    restorable,
    ways,
    ownership,
    shared: true,
    appendLocally: (batch, bucket) => journaled.bucket(bucket).appendLocal(batch),
    totals: totals.totals,
    setOff(off) {
      if (off.includes('book')) book.switchOff();
      else book.switchOn();
      log.setOff(off.includes('log'));
    },
    status: async () => ({
      log: log.logs.map((one) => one.health()).find((one) => !one.accepting) ?? { accepting: true },
      owedToTheLog: journaled.owed(),
      book: book.status(),
      totals: totals.totals.status(),
      shards: await ledger.ledger.shardHealth(),
    }),
    async close() {
      await journaled.close();
      await journal.close();
      await totals.close();
      await Promise.all(ways.map((way) => way.close()));
      book.stop();
      await redis.close();
      await link.close();
      await ledger.ledger.close();
      await pool.end();
    },
  };
}

const REMADE_WITHIN_MS = 3_000n;
const TEAR_EVERY_MS = 1_000;

/** Says it of each bucket at most once in a while; what fails is said at the next occasion, or found by the breaker. */
function onceAWhile(act: (bucket: number) => Promise<void>): (bucket: number) => void {
  const soon = new Set<number>();
  return (bucket) => {
    if (soon.has(bucket)) return;
    soon.add(bucket);
    setTimeout(() => {
      soon.delete(bucket);
      act(bucket).catch(() => {});
    }, TEAR_EVERY_MS).unref();
  };
}

async function openWays(
  config: Config,
  cluster: ClusterConfig,
  link: NatsLink,
  redis: Signals,
  logger: Logger,
): Promise<readonly Signals[]> {
  const nats = await untilItIs(
    'the announcements',
    logger,
    () => openNatsSignals({ link, space: cluster.space, replicas: cluster.logReplicas }),
    isNotAFlaw,
  );
  if (cluster.controlUrl === undefined) return [nats, redis];
  const { internal } = openKeyring(config.keysFolder, systemClock).secrets;
  const http = createHttpPollSignals({
    url: `${cluster.controlUrl}/internal/v1/announcement`,
    bearer: internal.toString('base64url'),
  });
  return [nats, redis, http];
}

/** A stream that is weaker than it must be does not become stronger by waiting. */
const isNotAFlaw = (error: unknown): boolean => (error as Error).name !== 'WeakStream';
