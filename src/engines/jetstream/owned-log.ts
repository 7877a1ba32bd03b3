import type { JsMsg } from '@nats-io/jetstream';
import { RetryableFault } from '../../protocol/failures.ts';
import type { Fences } from '../../rules/fences.ts';
import { weightOf } from '../embedded/journal/reader.ts';
import type { LogReader, LogRecord, LogSequence } from '../ports.ts';
import { floorOfConsumer } from './ack-floor.ts';
import type { NatsLink } from './connection.ts';
import { createDeliveries } from './deliveries.ts';
import { bucketNames } from './names.ts';
import { pastFences } from './past-fences.ts';
import { pullInto } from './pull.ts';
import { recordAt } from './records.ts';
import { OwnershipLost, takeOver } from './takeover.ts';

export interface OwnedLogOptions {
  readonly link: NatsLink;
  readonly space: string;
  readonly bucket: number;
  /** Higher than that of every owner before. */
  readonly epoch: number;
  readonly confirm: () => Promise<boolean>;
  /** Told once when it turns out that somebody else owns the bucket. */
  readonly onLost: () => void;
  readonly ackPendingMax?: number;
  readonly ackWaitMs?: number;
}

/** One bucket for its owner. */
export interface OwnedLog extends LogReader {
  /** Those that stand at or before the place where reading begins. */
  readonly fences: Fences;
  /** Ends reading; the consumer stays, for the next owner to begin where it was acknowledged. */
  close(): Promise<void>;
}

/** About 12 MB of micro-batches of 64 orders. */
const ACK_PENDING_MAX = 512;
const ACK_WAIT_MS = 30_000;
const ACK_TIMEOUT_MS = 2_000;
const FAULT_DELAY_MS = 200;

/**
 * Takes a bucket over and reads it in strict order: what is delivered twice is dropped, what is delivered late is
 * waited for or read from the stream itself. After another owner has taken the bucket, reading and acknowledging
 * throw OwnershipLost.
 */
export async function openOwnedLog(options: OwnedLogOptions): Promise<OwnedLog> {
  const { link, bucket } = options;
  const names = bucketNames(options.space, bucket);
  const taken = await takeOver({
    link,
    names,
    epoch: options.epoch,
    confirm: options.confirm,
    ackPendingMax: options.ackPendingMax ?? ACK_PENDING_MAX,
    ackWaitMs: options.ackWaitMs ?? ACK_WAIT_MS,
  });
  const fences = await pastFences(link, names, taken.floor);
  const deliveries = createDeliveries({ stream: names.stream, ...taken });
  let lost: string | undefined;

  /** Those who wait for a record need not rely on what the servers remember of acknowledgements. */
  const asked = link.nc.subscribe(names.howFarSubject, {
    callback: (error, message) => {
      if (!error) message.respond(String(deliveries.acknowledged()));
    },
  });
  /** What was made anew may lack what only the book has. */
  let isCompared = taken.begin === 1;
  const owing = link.nc.subscribe(names.owingSubject, {
    callback: (error, message) => {
      if (!error && !isCompared) message.respond();
    },
  });
  const lose = (reason: string): void => {
    if (lost !== undefined) return;
    lost = reason;
    for (const one of [asked, owing]) one.unsubscribe();
    void pulling.stop();
    deliveries.finish();
    link.logger.warn({ stream: names.stream, epoch: options.epoch, reason }, 'a bucket was lost');
    options.onLost();
  };
  const pulling = pullInto({ link, names, consumer: taken.consumer, deliveries, onGone: lose });

  const mustOwn = (): void => {
    if (lost !== undefined) throw new OwnershipLost(`${names.stream}: ${lost}`);
  };

  async function read(after: LogSequence, ordersMax: number): Promise<LogRecord[]> {
    const records: LogRecord[] = [];
    let orders = 0;
    for (let next = after + 1; next <= deliveries.last() && orders < ordersMax; next += 1) {
      mustOwn();
      const record = deliveries.record(next) ?? deliveries.fill(next, await recordAt(link, names, next));
      records.push(record);
      orders += weightOf(record);
    }
    mustOwn();
    return records;
  }

  /** The last one is confirmed, and those before it went the same way before it. */
  async function acknowledge(sequence: LogSequence): Promise<void> {
    mustOwn();
    const messages = deliveries.unacknowledged(sequence);
    const last = messages.pop();
    for (const message of messages) message.ack();
    if (last) await confirmed(last);
    deliveries.acknowledge(sequence);
    link.nc.publish(names.drainedSubject, String(sequence));
  }

  /** An acknowledgement that got lost is no harm: the message comes again, and is acknowledged then. */
  async function confirmed(message: JsMsg): Promise<void> {
    try {
      await message.ackAck({ timeout: ACK_TIMEOUT_MS });
    } catch (error) {
      await lookForConsumer();
      mustOwn();
      const what = `${names.stream} has not confirmed an acknowledgement: ${(error as Error).message}`;
      throw new RetryableFault('log-unavailable', what, FAULT_DELAY_MS, { cause: error });
    }
  }

  async function lookForConsumer(): Promise<void> {
    try {
      const floor = await floorOfConsumer(link, names.stream, taken.consumer);
      if (floor === undefined) lose('its consumer is gone: somebody else has taken it');
    } catch {
      // Not known now; the next try asks again.
    }
  }

  return {
    fences,
    read,
    acknowledge,
    begin: () => taken.begin,
    compared() {
      isCompared = true;
    },
    end: deliveries.end,
    drained: deliveries.acknowledged,
    beyond: deliveries.beyond,
    async close() {
      for (const one of [asked, owing]) one.unsubscribe();
      await pulling.stop();
      lost ??= 'it was given up';
      deliveries.finish();
    },
  };
}
