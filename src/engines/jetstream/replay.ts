import type { Logger } from 'pino';
import { bucketOf } from '../../vocabulary/bucket.ts';
import { encodeGrants } from '../embedded/journal/record-codec.ts';
import type { GrantLog, LogReader, LogSequence } from '../ports.ts';
import type { Debts } from './debts.ts';
import type { JetStreamLog } from './grant-log.ts';
import { batchName } from './names.ts';

const GATHER_ORDERS = 10_000;
/** How many micro-batches are on their way at once. */
const AT_ONCE = 64;
const PAUSE_MS = 250;

export interface ReplayOptions {
  readonly journal: GrantLog & LogReader;
  /** By bucket. */
  readonly streams: readonly JetStreamLog[];
  readonly debts: Debts;
  readonly logger: Logger;
  readonly onReplayed?: (bucket: number) => void;
}

type OnSettled = (sequence: LogSequence, bucket: number, standsAt: LogSequence | undefined) => void;

/** Publishes again what only the journal has, each bucket for itself: one stream that is gone holds up no other. */
export function createReplay(options: ReplayOptions) {
  const { journal, streams, debts, logger } = options;
  const working = new Map<number, Promise<void>>();
  const timers = new Map<number, NodeJS.Timeout>();
  let settled: OnSettled = () => {};
  let stopped = false;

  /** One try at the oldest debts; the rest follows until none are left or one fails. */
  async function pay(bucket: number): Promise<void> {
    while (!stopped && streams[bucket]!.health().accepting) {
      const sequences = debts.owedTo(bucket, AT_ONCE);
      if (sequences.length === 0) return;
      const results = await Promise.allSettled(sequences.map((sequence) => publish(sequence, bucket)));
      const failure = results.find((one) => one.status === 'rejected');
      if (!failure) continue;
      logger.warn(
        { bucket, reason: (failure.reason as Error).message },
        'the journal could not be replayed yet',
      );
      return;
    }
  }

  async function publish(sequence: LogSequence, bucket: number): Promise<void> {
    const record = await journal.at(sequence);
    if (record.kind === 'fence') return settled(sequence, bucket, undefined);
    const body = encodeGrants(record);
    const standsAt = await streams[bucket]!.appendNamed(body, batchName(body));
    options.onReplayed?.(bucket);
    settled(sequence, bucket, standsAt);
  }

  function work(bucket: number): void {
    if (stopped || working.has(bucket)) return;
    const paying = pay(bucket).finally(() => {
      working.delete(bucket);
      if (!stopped && debts.owedTo(bucket, 1).length > 0) workLater(bucket);
    });
    working.set(bucket, paying);
  }

  function workLater(bucket: number): void {
    clearTimeout(timers.get(bucket));
    timers.set(
      bucket,
      setTimeout(() => work(bucket), PAUSE_MS),
    );
  }

  function payAgain(bucket: number, end: LogSequence): void {
    const batches = debts.lostBehind(bucket, end);
    logger.error({ bucket, end, batches }, 'what the stream has lost is published again from the journal');
    if (!working.has(bucket)) workLater(bucket);
  }

  return {
    /** At the start: everything behind the journal's mark is owed, whether the stream has it already or not. */
    async gather(): Promise<void> {
      for (let after = journal.drained(); after < journal.end(); ) {
        for (const record of await journal.read(after, GATHER_ORDERS)) {
          after = record.sequence;
          if (record.kind === 'fence') continue;
          debts.opened(record.sequence);
          debts.owe(record.sequence, bucketOf(record.orders[0]!.actId, streams.length));
        }
      }
      if (debts.count() > 0)
        logger.info({ batches: debts.count() }, 'the journal is replayed into the streams');
    },
    /** It was tried and failed, or it was never tried: after a while it is tried again. */
    owe(sequence: LogSequence, bucket: number): void {
      debts.owe(sequence, bucket);
      if (!working.has(bucket)) workLater(bucket);
    },
    start(onSettled: OnSettled): void {
      settled = onSettled;
      for (const [bucket, stream] of streams.entries()) {
        stream.whenShorter((end) => payAgain(bucket, end));
        work(bucket);
      }
    },
    async stop(): Promise<void> {
      stopped = true;
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.all(working.values());
    },
  };
}
