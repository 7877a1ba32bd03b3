import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { bucketOf } from '../../vocabulary/bucket.ts';
import { encodeGrants } from '../embedded/journal/record-codec.ts';
import type { GrantLog, LogReader, LogSequence } from '../ports.ts';
import type { Debts } from './debts.ts';
import type { Generation } from './generations.ts';
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
  /** Told that everything the journal has for a bucket stands in this stream of it. */
  readonly onComplete?: (bucket: number, generation: Generation) => void;
  /** What the journal has up to here is never published into a stream that was made anew. Default 0. */
  readonly foreignUpTo?: LogSequence;
}

type OnSettled = (sequence: LogSequence, bucket: number, standsAt: LogSequence | undefined) => void;

/** Publishes again what only the journal has, each bucket for itself: one stream that is gone holds up no other. */
export function createReplay(options: ReplayOptions) {
  const { journal, streams, debts, logger } = options;
  const working = new Map<number, Promise<void>>();
  const timers = new Map<number, NodeJS.Timeout>();
  /** Streams that were made anew, and do not have yet everything that the journal has for them. */
  const anew = new Map<number, Generation>();
  /** Those of them for which the journal was read. */
  const gathered = new Map<number, Generation>();
  let gathering: Promise<void> | undefined;
  let settled: OnSettled = () => {};
  let stopped = false;

  /** One try at the oldest debts; the rest follows until none are left or one fails. */
  async function pay(bucket: number): Promise<void> {
    while (!stopped && streams[bucket]!.health().accepting) {
      const sequences = debts.owedTo(bucket, AT_ONCE);
      if (sequences.length === 0) return paidOff(bucket);
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
      if (!stopped && (debts.owedTo(bucket, 1).length > 0 || anew.has(bucket))) workLater(bucket);
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

  /** The next start need not publish everything once more. */
  function paidOff(bucket: number): void {
    const generation = anew.get(bucket);
    if (generation === undefined || gathered.get(bucket) !== generation) return;
    anew.delete(bucket);
    options.onComplete?.(bucket, generation);
    logger.warn({ bucket }, 'a stream that was made anew has everything again that the journal holds for it');
  }

  /** Of a stream that is lost nothing is kept but here: the whole journal is read again. */
  function payAllAgain(bucket: number, generation: Generation): void {
    anew.set(bucket, generation);
    gathering ??= gatherAnew().finally(() => {
      gathering = undefined;
    });
  }

  /** The buckets whose streams were made anew since the journal was read for them. */
  const ungathered = (): ReadonlyMap<number, Generation> =>
    new Map([...anew].filter(([bucket, generation]) => gathered.get(bucket) !== generation));

  async function gatherAnew(): Promise<void> {
    for (let wanted = ungathered(); wanted.size > 0 && !stopped; wanted = ungathered()) {
      try {
        await eachSince(options.foreignUpTo ?? 0, (sequence, bucket) => {
          if (wanted.has(bucket)) debts.oweAnew(sequence, bucket);
        });
        for (const [bucket, generation] of wanted) gathered.set(bucket, generation);
        for (const bucket of wanted.keys()) if (!working.has(bucket)) workLater(bucket);
      } catch (error) {
        logger.error({ err: error }, 'the journal could not be read for a stream that was lost');
        await delay(PAUSE_MS);
      }
    }
  }

  /** Every micro-batch of the journal behind `after`. */
  async function eachSince(
    after: LogSequence,
    take: (sequence: LogSequence, bucket: number) => void,
  ): Promise<void> {
    for (let at = after; at < journal.end() && !stopped; ) {
      for (const record of await journal.read(at, GATHER_ORDERS)) {
        at = record.sequence;
        if (record.kind === 'grants')
          take(record.sequence, bucketOf(record.orders[0]!.actId, streams.length));
      }
    }
  }

  function payAgain(bucket: number, end: LogSequence): void {
    const batches = debts.lostBehind(bucket, end);
    logger.error({ bucket, end, batches }, 'what the stream has lost is published again from the journal');
    if (!working.has(bucket)) workLater(bucket);
  }

  return {
    /** At the start: everything behind the journal's mark is owed, whether the stream has it already or not. */
    async gather(): Promise<void> {
      await eachSince(journal.drained(), (sequence, bucket) => {
        debts.opened(sequence);
        debts.owe(sequence, bucket);
      });
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
        stream.whenAnew(
          (generation) => payAllAgain(bucket, generation),
          () => anew.has(bucket),
        );
        work(bucket);
      }
    },
    async stop(): Promise<void> {
      stopped = true;
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.all([...working.values(), gathering]);
    },
  };
}
