import type { Logger } from 'pino';
import { RetryableFault } from '../../protocol/failures.ts';
import { bucketOf } from '../../vocabulary/bucket.ts';
import { encodeGrants } from '../embedded/journal/record-codec.ts';
import type { GrantLog, LogReader, LogSequence, MicroBatch } from '../ports.ts';
import { createDebts } from './debts.ts';
import type { Generation } from './generations.ts';
import type { JetStreamLog } from './grant-log.ts';
import { batchName } from './names.ts';
import { createReplay } from './replay.ts';
import { createUnderWay } from './under-way.ts';

export interface JournaledLogOptions {
  /** This gateway's own, for all buckets. Its `drained` mark says how far the streams have it. */
  readonly journal: GrantLog & LogReader;
  /** By bucket. */
  readonly streams: readonly JetStreamLog[];
  readonly logger: Logger;
  /** Told when a bucket got a batch that only the journal had; whoever keeps a book may have lost it. */
  readonly onReplayed?: (bucket: number) => void;
  /** Told that everything the journal has for a bucket stands in this stream of it, which was made anew. */
  readonly onComplete?: (bucket: number, generation: Generation) => void;
  /** What the journal has up to here is never published into a stream that was made anew. Default 0. */
  readonly foreignUpTo?: LogSequence;
}

/** One bucket, promised in two copies. */
export interface JournaledBucket extends GrantLog {
  /**
   * The degraded path, for orders that the ledger is given directly: in the journal only, and published once the
   * stream is back. Resolves after the fsync, with its place in the journal.
   */
  appendLocal(batch: MicroBatch): Promise<LogSequence>;
}

export interface JournaledLog {
  bucket(bucket: number): JournaledBucket;
  /** Micro-batches that only the journal has. */
  owed(): number;
  /** Waits for what is under way. Leaves the journal open: it is the caller's. */
  close(): Promise<void>;
}

const DELAY_MS = 1_000;

/**
 * The promise has two copies, the gateway's own fsynced journal and the quorum of the stream, because the stream's
 * acknowledgement is not an fsync. Both are asked at the same time, and a grant is answered when both have it. What
 * only the journal has is published again under the same name: at the start, and when the stream is back.
 *
 * A batch that one of the two has refused is unknown: nobody was told "won", and it may still be credited. If it
 * lands behind its slice's fence, it is void there.
 */
export async function openJournaledLog(options: JournaledLogOptions): Promise<JournaledLog> {
  const { journal, streams, logger } = options;
  const debts = createDebts(journal.drained(), streams.length);
  const replay = createReplay({ ...options, debts });
  await replay.gather();

  const settle = (sequence: LogSequence, bucket: number, standsAt: LogSequence | undefined): void => {
    debts.confirmed(sequence, bucket, standsAt);
    void journal.acknowledge(debts.settledUpTo());
  };

  async function intoJournal(batch: MicroBatch): Promise<LogSequence> {
    const sequence = await journal.append(batch);
    debts.opened(sequence);
    return sequence;
  }

  async function append(batch: MicroBatch, bucket: number): Promise<LogSequence> {
    const body = encodeGrants(batch);
    const [kept, sent] = await Promise.allSettled([
      intoJournal(batch),
      streams[bucket]!.appendNamed(body, batchName(body)),
    ]);
    if (kept.status === 'fulfilled') {
      if (sent.status === 'fulfilled') settle(kept.value, bucket, sent.value);
      else replay.owe(kept.value, bucket);
    }
    if (kept.status === 'fulfilled' && sent.status === 'fulfilled') return sent.value;
    throw faultOf(kept, sent);
  }

  function bucketLog(bucket: number): JournaledBucket {
    const stream = streams[bucket];
    if (!stream) throw new RangeError(`there is no bucket ${bucket}, they are ${streams.length}`);
    const underWay = createUnderWay();
    let closed = false;

    function health(): ReturnType<GrantLog['health']> {
      if (closed) return { accepting: false, reason: 'the log is closed' };
      const own = journal.health();
      return own.accepting ? stream!.health() : own;
    }

    /** What is known to be refused is not even written down: then nothing of it will ever be read. */
    function mustAccept({ accepting, reason }: ReturnType<GrantLog['health']>): void {
      if (!accepting)
        throw new RetryableFault('log-unavailable', reason ?? 'the log is not accepting', DELAY_MS);
    }

    function mustBelong(batch: MicroBatch): void {
      if (!batch.orders.every((one) => bucketOf(one.actId, streams.length) === bucket))
        throw new RangeError(`a micro-batch for bucket ${bucket} holds orders of another one`);
    }

    return {
      async append(batch) {
        mustAccept(health());
        mustBelong(batch);
        return underWay.track(append(batch, bucket));
      },
      async appendLocal(batch) {
        mustAccept(closed ? health() : journal.health());
        mustBelong(batch);
        const sequence = await underWay.track(intoJournal(batch));
        replay.owe(sequence, bucket);
        return sequence;
      },
      async appendFence(unit) {
        mustAccept(closed ? health() : { accepting: true });
        return underWay.track(stream.appendFence(unit));
      },
      at: stream.at,
      // What only the journal has is not in the log yet: nobody else could read it there.
      async endNow() {
        mustAccept(closed ? health() : { accepting: true });
        return stream.endNow();
      },
      untilDrained: stream.untilDrained,
      health,
      async close() {
        closed = true;
        await underWay.drained();
      },
    };
  }

  const views = streams.map((_, bucket) => bucketLog(bucket));
  replay.start(settle);
  return {
    bucket(bucket) {
      const view = views[bucket];
      if (!view) throw new RangeError(`there is no bucket ${bucket}, they are ${streams.length}`);
      return view;
    },
    owed: debts.count,
    async close() {
      await Promise.all(views.map((one) => one.close()));
      await replay.stop();
      await Promise.all(streams.map((one) => one.close()));
      if (debts.count() > 0)
        logger.warn(
          { batches: debts.count() },
          'what the streams are owed waits in the journal for the next start',
        );
    },
  };
}

/** Refused by both, nothing of it will ever be read. Otherwise one of them has it, and it may be credited yet. */
function faultOf(kept: PromiseSettledResult<unknown>, sent: PromiseSettledResult<unknown>): unknown {
  const faults = [kept, sent].flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  const other = faults.find((fault) => !(fault instanceof RetryableFault));
  if (other !== undefined) return other;
  const [fault] = faults as RetryableFault[];
  if (faults.length === 2 && (faults as RetryableFault[]).every((one) => one.kind === 'log-unavailable'))
    return fault;
  return new RetryableFault('outcome-unknown', fault!.message, fault!.delayMs, { cause: fault });
}
