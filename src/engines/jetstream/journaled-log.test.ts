import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { aBatch, batchOf, peopleOf, upTo } from '../../../test/support/batches.ts';
import { startTestNats, type TestNats } from '../../../test/support/nats.ts';
import { anOrder } from '../../../test/support/orders.ts';
import { quiet } from '../../../test/support/postgres.ts';
import { until } from '../../../test/support/rig.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import type { SliceId } from '../../vocabulary/ids.ts';
import { type Journal, openJournal } from '../embedded/journal/index.ts';
import type { MicroBatch } from '../ports.ts';
import type { NatsLink } from './connection.ts';
import { createJetStreamLog, type JetStreamLog } from './grant-log.ts';
import { type JournaledLog, openJournaledLog } from './journaled-log.ts';
import { ensureStreams } from './streams.ts';

const BUCKETS = 2;
let nats: TestNats;
beforeAll(async () => {
  nats = await startTestNats();
});
afterAll(async () => {
  await nats.stop();
});

let spaces = 0;
let space: string;
let folder: string;
let link: NatsLink;
let journal: Journal;
let log: JournaledLog;
let boots = 0;

beforeEach(async () => {
  spaces += 1;
  space = `journaled-${spaces}`;
  folder = mkdtempSync(path.join(tmpdir(), 'hongbao-journaled-'));
  link = await nats.link();
  await ensureStreams(link, { space, buckets: BUCKETS, replicas: 1, bytesMax: 1 << 26 });
  await open();
});
afterEach(async () => {
  await close();
  rmSync(folder, { recursive: true, force: true });
});

const streams = (deadlineMs = 2_000): JetStreamLog[] => {
  boots += 1;
  return upTo(BUCKETS).map((one) =>
    createJetStreamLog({ link, space, bucket: one - 1, bootId: `boot-${boots}`, replicas: 1, deadlineMs }),
  );
};

/** The buckets that got something from the journal alone. */
const replayed: number[] = [];
async function open(logs = streams()): Promise<void> {
  replayed.length = 0;
  journal = await openJournal({ folder, logger: quiet });
  log = await openJournaledLog({
    journal,
    streams: logs,
    logger: quiet,
    onReplayed: (bucket) => replayed.push(bucket),
  });
}

async function close(): Promise<void> {
  await log.close();
  await journal.close();
}

/** Everything that a bucket's stream has, by the people in it. */
async function streamed(bucket: number): Promise<number[][]> {
  const reader = createJetStreamLog({ link, space, bucket, bootId: 'reader', replicas: 1 });
  const { state } = await link.jsm.streams.info(`${space}-${bucket}`);
  const found: number[][] = [];
  for (const sequence of upTo(state.last_seq)) found.push(peopleOf([await reader.at(sequence)]));
  await reader.close();
  return found;
}

/** Bucket 0 has the even people, bucket 1 the odd ones. */
const even = aBatch([2, 4]);
const odd = aBatch([1, 3]);
const slice = (sliceId: number) => ({ sliceId: BigInt(sliceId) as SliceId, epoch: 1 });
const settled = () => until(() => log.owed() === 0 && journal.drained() === journal.end(), 'nothing is owed');

/** A stream that does what it is told for the next appends, and passes the others on. */
function faulty(real: JetStreamLog, faults: ('lost answer' | 'unheard')[]): JetStreamLog {
  return {
    ...real,
    async appendNamed(body, name) {
      const fault = faults.shift();
      if (fault === undefined) return real.appendNamed(body, name);
      if (fault === 'lost answer') await real.appendNamed(body, name);
      throw new RetryableFault(fault === 'unheard' ? 'log-unavailable' : 'outcome-unknown', fault, 10);
    },
  };
}

describe('the promise in two copies', () => {
  it('is answered with its place in the stream, and owes nothing then', async () => {
    expect(await log.bucket(0).append(even)).toBe(1);
    expect(await log.bucket(1).append(odd)).toBe(1);
    expect(await log.bucket(1).appendFence(slice(7))).toBe(2);
    expect(journal.end()).toBe(2);
    await settled();
    expect(peopleOf([await log.bucket(1).at(1)])).toEqual([1, 3]);
  });

  it('refuses orders of another bucket, and buckets that there are not', async () => {
    await expect(log.bucket(0).append(odd)).rejects.toThrow('another one');
    expect(() => log.bucket(2)).toThrow('no bucket 2');
    expect(journal.end()).toBe(0);
  });

  it('is unknown while only the journal has it, and reaches the stream by itself', async () => {
    await close();
    const logs = streams();
    await open([faulty(logs[0]!, ['unheard']), logs[1]!]);
    await expect(log.bucket(0).append(even)).rejects.toMatchObject({ kind: 'outcome-unknown' });
    expect([journal.end(), journal.drained()]).toEqual([1, 0]);
    await settled();
    expect(await streamed(0)).toEqual([[2, 4]]);
    expect(replayed).toEqual([0]);
  });

  it('stands in the stream once, though its answer was lost and it was sent again', async () => {
    await close();
    const logs = streams();
    await open([faulty(logs[0]!, ['lost answer', 'lost answer']), logs[1]!]);
    await expect(log.bucket(0).append(even)).rejects.toMatchObject({ kind: 'outcome-unknown' });
    await settled();
    expect(await log.bucket(0).append(aBatch([6]))).toBe(2);
    expect(await streamed(0)).toEqual([[2, 4], [6]]);
  });

  it('lands behind its slice’s fence when it comes back late, where it is void', async () => {
    await close();
    const logs = streams();
    await open([faulty(logs[0]!, ['unheard']), logs[1]!]);
    await expect(log.bucket(0).append(even)).rejects.toMatchObject({ kind: 'outcome-unknown' });
    expect(await log.bucket(0).appendFence(slice(1))).toBe(1);
    await settled();
    expect(replayed).toEqual([0]);
  });

  it('is replayed after a restart, each bucket into its own stream, without doubles', async () => {
    await log.bucket(0).append(even);
    await log.bucket(1).append(odd);
    await close();
    // A gateway that died before its mark was written, after it had written down what it could not publish.
    rmSync(path.join(folder, 'drained'));
    const writer = await openJournal({ folder, logger: quiet });
    for (const person of [5, 6, 7]) await writer.append(aBatch([person]));
    await writer.close();
    await open();
    await settled();
    expect(await streamed(0)).toEqual([[2, 4], [6]]);
    // What is published again goes side by side, in any order.
    expect((await streamed(1)).sort()).toEqual([[1, 3], [5], [7]]);
    expect(journal.drained()).toBe(5);
  });

  it('does not let one stream that is gone hold up the others', async () => {
    await close();
    const logs = streams();
    const faults: 'unheard'[] = Array.from({ length: 50 }, () => 'unheard');
    await open([faulty(logs[0]!, faults), logs[1]!]);
    await Promise.all(upTo(20).map((one) => log.bucket(0).appendLocal(aBatch([one * 2]))));
    await Promise.all(upTo(20).map((one) => log.bucket(1).appendLocal(aBatch([one * 2 - 1]))));
    await until(async () => (await streamed(1)).length === 20, 'bucket 1 has all of its own');
    expect(log.owed()).toBeGreaterThanOrEqual(20);
    faults.length = 0;
    await settled();
    expect((await streamed(0)).flat()).toEqual(upTo(20).map((one) => one * 2));
  });

  it('is unknown when the journal refuses what the stream has taken', async () => {
    await close();
    journal = await openJournal({ folder, logger: quiet });
    const full: Journal = {
      ...journal,
      append: async (_batch: MicroBatch) => {
        throw new RetryableFault('log-unavailable', 'the disk is full', 1_000);
      },
    };
    log = await openJournaledLog({ journal: full, streams: streams(), logger: quiet });
    await expect(log.bucket(0).append(even)).rejects.toMatchObject({ kind: 'outcome-unknown' });
    expect(await streamed(0)).toEqual([[2, 4]]);
  });

  it('writes nothing down while the stream is known to be gone, and goes on by itself when it is back', async () => {
    await close();
    await open(streams(500));
    await log.bucket(0).append(even);
    await nats.servers[0]!.kill();
    await until(() => !log.bucket(0).health().accepting, 'its health says so');
    await expect(log.bucket(0).append(aBatch([8]))).rejects.toMatchObject({ kind: 'log-unavailable' });
    expect(journal.end()).toBe(1);
    await log.bucket(0).appendLocal(aBatch([10]));
    await log.bucket(1).appendLocal(aBatch([11]));
    expect(log.owed()).toBe(2);
    await nats.servers[0]!.start();
    await settled();
    expect(await streamed(0)).toEqual([[2, 4], [10]]);
    expect(await streamed(1)).toEqual([[11]]);
    await until(() => log.bucket(0).health().accepting, 'its health says so');
    expect(await log.bucket(0).append(aBatch([8]))).toBe(3);
  });

  it('is published again when the stream turns out to have lost it', async () => {
    for (const person of [2, 4, 6]) await log.bucket(0).append(aBatch([person]));
    await settled();
    await link.jsm.streams.delete(`${space}-0`);
    await ensureStreams(link, { space, buckets: BUCKETS, replicas: 1, bytesMax: 1 << 26 });
    await link.nc.reconnect();
    const again = () =>
      streamed(0)
        .then(({ length }) => length === 3)
        .catch(() => false);
    await until(again, 'the stream has them again');
    expect((await streamed(0)).flat().sort()).toEqual([2, 4, 6]);
    expect(await log.bucket(0).append(aBatch([8]))).toBe(4);
    await settled();
  });

  it('ends where the stream does: what only the journal has is not counted', async () => {
    await close();
    const logs = streams();
    const faults: 'unheard'[] = upTo(50).map(() => 'unheard');
    await open([faulty(logs[0]!, faults), logs[1]!]);
    await log.bucket(0).appendLocal(even);
    await expect(log.bucket(0).append(even)).rejects.toMatchObject({ kind: 'outcome-unknown' });
    expect([await log.bucket(0).endNow(), journal.end()]).toEqual([0, 2]);
    faults.length = 0;
    await settled();
    expect(await log.bucket(0).endNow()).toBeGreaterThan(0);
    expect(await log.bucket(1).endNow()).toBe(0);
  });

  it('refuses once it is closed', async () => {
    await log.bucket(0).close();
    await expect(log.bucket(0).append(even)).rejects.toMatchObject({ kind: 'log-unavailable' });
    await expect(log.bucket(0).appendFence(slice(1))).rejects.toMatchObject({ kind: 'log-unavailable' });
    await expect(log.bucket(0).endNow()).rejects.toMatchObject({ kind: 'log-unavailable' });
    await expect(log.bucket(0).appendLocal(even)).rejects.toMatchObject({ kind: 'log-unavailable' });
    expect(await log.bucket(1).append(odd)).toBe(1);
  });

  it('gives a batch that was read from the journal the very bytes and name that it was sent under', async () => {
    const orders = upTo(64).map((one) => anOrder({ person: one * 2, fen: one * 991 }));
    const ciphertexts = orders.map((_, at) => Buffer.alloc(90 + at, at));
    await log.bucket(0).append(batchOf(orders, { ciphertexts }));
    await close();
    rmSync(path.join(folder, 'drained'));
    await open();
    await settled();
    expect(replayed.length).toBe(1);
    expect((await streamed(0)).length).toBe(1);
  });
});
