import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openJournal } from '../src/engines/embedded/journal/index.ts';
import { encodeGrants } from '../src/engines/embedded/journal/record-codec.ts';
import type { NatsLink } from '../src/engines/jetstream/connection.ts';
import { createJetStreamLog } from '../src/engines/jetstream/grant-log.ts';
import { openJournaledLog } from '../src/engines/jetstream/journaled-log.ts';
import { bucketNames } from '../src/engines/jetstream/names.ts';
import { ensureStreams } from '../src/engines/jetstream/streams.ts';
import type { GrantLog, MicroBatch } from '../src/engines/ports.ts';
import { systemClock } from '../src/processes/clock.ts';
import { openKeyring } from '../src/stations/4-seal/keyring.ts';
import { batchOf } from '../test/support/batches.ts';
import { natsUnderTest, startTestNats, type TestNats } from '../test/support/nats.ts';
import { anOrder } from '../test/support/orders.ts';
import { quiet } from '../test/support/postgres.ts';
import { until } from '../test/support/rig.ts';
import { promiseRate } from './seal.ts';

export interface JetStreamFigures {
  /** Orders a second, in micro-batches of 64: promised in two copies, the gateway's journal and the stream. */
  readonly journaledOrdersPerSecond: number;
  /** The same with the sealing, as a gateway does it: encoded, encrypted, signed by the batch. */
  readonly sealedOrdersPerSecond: number;
  /** As the first, through the stream alone. */
  readonly streamOrdersPerSecond: number;
  /** The very same bytes, published bare into a stream with the same settings. */
  readonly bareOrdersPerSecond: number;
  readonly journaledOverBare: number;
  readonly streamOverBare: number;
  /** Bare publishes to servers that fsync before they acknowledge / to servers that do it later; from 2.10 on. */
  readonly syncAlwaysOverInterval?: number;
}

const BATCH_ORDERS = 64;
/** How many micro-batches wait for their answer at once. */
const AT_ONCE = 64;
const RUN_MS = 2_000;
const WARM_MS = 500;
const RUNS = 3;

/** Eight times as many as are under way at once: none is still at hand from when it was last appended. */
const POOL_BATCHES = 8 * AT_ONCE;
const pool = Array.from({ length: POOL_BATCHES }, (_, batch) =>
  batchOf(
    Array.from({ length: BATCH_ORDERS }, (_, at) =>
      anOrder({ person: batch * BATCH_ORDERS + at, fen: 100 + at, slice: batch + 1, index: at }),
    ),
  ),
);
let batches = 0;

/** Sealed beforehand; the nonce makes each another one, as in life. */
function nextBatch(): MicroBatch {
  const { seal, ...batch } = pool[batches % POOL_BATCHES]!;
  batches += 1;
  const nonce = Buffer.alloc(8);
  nonce.writeBigUInt64BE(BigInt(batches));
  return { ...batch, seal: { ...seal, nonce } };
}

async function ordersPerSecond(append: () => Promise<unknown>): Promise<number> {
  const run = async (forMs: number) => {
    const start = performance.now();
    let done = 0;
    const repeat = async () => {
      while (performance.now() - start < forMs) {
        await append();
        done += 1;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, repeat));
    return (done * BATCH_ORDERS * 1_000) / (performance.now() - start);
  };
  await run(WARM_MS);
  return run(RUN_MS);
}

/** The bytes are made beforehand too: what the bare engine takes, not what it costs to make them. */
async function bareRate(link: NatsLink, space: string): Promise<number> {
  const bodies = pool.map(encodeGrants);
  const { grantsSubject } = bucketNames(space, 0);
  let published = 0;
  return ordersPerSecond(() => {
    published += 1;
    return link.js.publish(grantsSubject, bodies[published % POOL_BATCHES]!);
  });
}

/** One stream of its own a run, in servers that the other figures of the run share. */
async function ofAStream(
  link: NatsLink,
  space: string,
  rate: (space: string) => Promise<number>,
): Promise<number> {
  const made = () =>
    ensureStreams(link, { space, buckets: 1, replicas: 3, bytesMax: 1 << 30 }).then(
      () => true,
      () => false,
    );
  await until(made, 'the cluster has placed the stream', 60_000);
  const found = await rate(space);
  await link.jsm.streams.delete(bucketNames(space, 0).stream);
  return found;
}

const aLog = (link: NatsLink, space: string) =>
  createJetStreamLog({ link, space, bucket: 0, bootId: space, replicas: 3 });

async function streamRate(link: NatsLink, space: string): Promise<number> {
  const log = aLog(link, space);
  const rate = await ordersPerSecond(() => log.append(nextBatch()));
  await log.close();
  return rate;
}

/** With a journal in the temporary folder, fsync on. */
async function inTwoCopies(
  link: NatsLink,
  space: string,
  rate: (log: GrantLog, folder: string) => Promise<number>,
): Promise<number> {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-bench-jetstream-'));
  const journal = await openJournal({ folder: path.join(folder, 'journal'), logger: quiet });
  const log = await openJournaledLog({ journal, streams: [aLog(link, space)], logger: quiet });
  const found = await rate(log.bucket(0), folder);
  await log.close();
  await journal.close();
  rmSync(folder, { recursive: true, force: true });
  return found;
}

const journaledRate = (link: NatsLink, space: string): Promise<number> =>
  inTwoCopies(link, space, (log) => ordersPerSecond(() => log.append(nextBatch())));

const sealedRate = (link: NatsLink, space: string): Promise<number> =>
  inTwoCopies(link, space, (log, folder) =>
    promiseRate(log, openKeyring(path.join(folder, 'keys'), systemClock)),
  );

interface Turn {
  readonly journaled: number;
  readonly sealed: number;
  readonly stream: number;
  readonly bare: number;
  /** Bare, to servers that fsync by interval. */
  readonly later?: number;
}

async function measureTurn(link: NatsLink, at: number, laterLink: NatsLink | undefined): Promise<Turn> {
  const of = (to: NatsLink, what: string, rate: (to: NatsLink, space: string) => Promise<number>) =>
    ofAStream(to, `${what}-${at}`, (space) => rate(to, space));
  const later = laterLink && (await of(laterLink, 'later', bareRate));
  const bare = await of(link, 'bare', bareRate);
  const stream = await of(link, 'stream', streamRate);
  const journaled = await of(link, 'journaled', journaledRate);
  const sealed = await of(link, 'sealed', sealedRate);
  return { journaled, sealed, stream, bare, ...(later === undefined ? {} : { later }) };
}

/** Three servers, three replicas, all in one run on one machine, in turns; the middle of three. */
export async function benchJetStream(): Promise<JetStreamFigures> {
  const servers: TestNats[] = [await startTestNats(3)];
  if (natsUnderTest().isFit) servers.push(await startTestNats(3, 'interval'));
  const turns: Turn[] = [];
  try {
    const [link, later] = await Promise.all(servers.map((one) => one.link('bench')));
    for (let at = 0; at < RUNS; at += 1) turns.push(await measureTurn(link!, at, later));
  } finally {
    for (const one of servers) await one.stop();
  }
  const middle = middleBy(turns, ({ journaled, bare }) => journaled / bare);
  const synced = middleBy(turns, ({ bare, later = bare }) => bare / later);
  return {
    journaledOrdersPerSecond: middle.journaled,
    sealedOrdersPerSecond: middle.sealed,
    streamOrdersPerSecond: middle.stream,
    bareOrdersPerSecond: middle.bare,
    journaledOverBare: middle.journaled / middle.bare,
    streamOverBare: middle.stream / middle.bare,
    ...(synced.later === undefined ? {} : { syncAlwaysOverInterval: synced.bare / synced.later }),
  };
}

const middleBy = (turns: readonly Turn[], ratio: (turn: Turn) => number): Turn =>
  [...turns].sort((a, b) => ratio(a) - ratio(b))[turns.length >> 1]!;
