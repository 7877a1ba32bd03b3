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
import type { MicroBatch } from '../src/engines/ports.ts';
import { startTestNats } from '../test/support/nats.ts';
import { anOrder } from '../test/support/orders.ts';
import { quiet } from '../test/support/postgres.ts';
import { until } from '../test/support/rig.ts';

export interface JetStreamFigures {
  /** Orders a second, in micro-batches of 64: promised in two copies, the gateway's journal and the stream. */
  readonly journaledOrdersPerSecond: number;
  /** The same through the stream alone. */
  readonly streamOrdersPerSecond: number;
  /** The very same bytes, published bare into a stream with the same settings. */
  readonly bareOrdersPerSecond: number;
  readonly journaledOverBare: number;
  readonly streamOverBare: number;
}

const BATCH_ORDERS = 64;
/** How many micro-batches wait for their answer at once. */
const AT_ONCE = 64;
const RUN_MS = 2_000;
const WARM_MS = 500;
const RUNS = 3;

const orders = Array.from({ length: BATCH_ORDERS }, (_, person) => anOrder({ person, fen: 137 }));
const ciphertexts = orders.map(() => Buffer.alloc(100, 7));
const signature = Buffer.alloc(64, 9);
let batches = 0;

/** Sealed beforehand; the nonce makes each another one, as in life. */
function nextBatch(): MicroBatch {
  batches += 1;
  const nonce = Buffer.alloc(8);
  nonce.writeBigUInt64BE(BigInt(batches));
  return { orders, seal: { keyId: 1, nonce, signature, ciphertexts } };
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
  const body = encodeGrants(nextBatch());
  const { grantsSubject } = bucketNames(space, 0);
  return ordersPerSecond(() => link.js.publish(grantsSubject, body));
}

/** Three servers, three replicas, all in one run on one machine, in turns; the middle of three. */
export async function benchJetStream(): Promise<JetStreamFigures> {
  const nats = await startTestNats(3);
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-bench-jetstream-'));
  const link = await nats.link('bench');
  const settings = { buckets: 1, replicas: 3, bytesMax: 1 << 30 };
  const make = (space: string) =>
    until(
      () =>
        ensureStreams(link, { ...settings, space }).then(
          () => true,
          () => false,
        ),
      'the cluster has placed the stream',
      60_000,
    );
  const runs: { journaled: number; stream: number; bare: number }[] = [];
  try {
    for (let at = 0; at < RUNS; at += 1) {
      for (const what of ['bare', 'stream', 'journaled']) await make(`${what}-${at}`);
      const bare = await bareRate(link, `bare-${at}`);
      const log = createJetStreamLog({
        link,
        space: `stream-${at}`,
        bucket: 0,
        bootId: `boot-${at}`,
        replicas: 3,
      });
      const stream = await ordersPerSecond(() => log.append(nextBatch()));
      await log.close();
      const journal = await openJournal({ folder: path.join(folder, `journal-${at}`), logger: quiet });
      const journaledLog = await openJournaledLog({
        journal,
        streams: [
          createJetStreamLog({
            link,
            space: `journaled-${at}`,
            bucket: 0,
            bootId: `boot-${at}`,
            replicas: 3,
          }),
        ],
        logger: quiet,
      });
      const both = journaledLog.bucket(0);
      const journaled = await ordersPerSecond(() => both.append(nextBatch()));
      await journaledLog.close();
      await journal.close();
      for (const what of ['bare', 'stream', 'journaled']) await link.jsm.streams.delete(`${what}-${at}-0`);
      runs.push({ journaled, stream, bare });
    }
  } finally {
    await nats.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const [, middle] = runs.sort((a, b) => a.journaled / a.bare - b.journaled / b.bare);
  return {
    journaledOrdersPerSecond: middle!.journaled,
    streamOrdersPerSecond: middle!.stream,
    bareOrdersPerSecond: middle!.bare,
    journaledOverBare: middle!.journaled / middle!.bare,
    streamOverBare: middle!.stream / middle!.bare,
  };
}
