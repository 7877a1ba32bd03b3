import { DeliverPolicy } from '@nats-io/jetstream';
import { RetryableFault } from '../../protocol/failures.ts';
import type { LogSequence } from '../ports.ts';
import { highestFloor, isNoConsumer, ownerConsumers } from './ack-floor.ts';
import type { NatsLink } from './connection.ts';
import { type BucketNames, ownerConsumer } from './names.ts';
import { beginOf, ownerConsumerConfig } from './streams.ts';

/** Somebody else owns the bucket now. What was read may still be credited (the ledger's key), nothing acknowledged. */
export class OwnershipLost extends RetryableFault {
  constructor(
    what: string,
    /** The highest epoch that was seen of others; 0 when none was. */
    readonly newestEpoch = 0,
  ) {
    super('draining', what, 1_000);
  }
}

export interface TakenBucket {
  readonly consumer: string;
  /** Everything up to here is in the ledger. */
  readonly floor: LogSequence;
  /** The last record when it was taken. */
  readonly end: LogSequence;
  /** Where the places of the stream begin. */
  readonly begin: LogSequence;
}

export interface TakeOptions {
  readonly link: NatsLink;
  readonly names: BucketNames;
  readonly epoch: number;
  /** How many messages may be out without acknowledgement; bounds the memory of an owner whose ledger is down. */
  readonly ackPendingMax: number;
  /** After this a message that was not acknowledged comes again. */
  readonly ackWaitMs: number;
  /** Whether the bucket is still ours, asked of everybody's common truth. */
  readonly confirm: () => Promise<boolean>;
}

/**
 * Makes this epoch's own consumer, which begins where the ones before had acknowledged, and deletes those: whoever
 * was frozen as their owner finds nothing to read from or to acknowledge to when it wakes. The new one is made first,
 * so the floor is never without a keeper.
 */
export async function takeOver(options: TakeOptions): Promise<TakenBucket> {
  const { link, names, epoch } = options;
  const before = await ownerConsumers(link, names.stream);
  const newest = before[0]?.epoch ?? 0;
  if (newest > epoch)
    throw new OwnershipLost(`${names.stream} has an owner of epoch ${newest}, this one is ${epoch}`, newest);
  const { floor, end, begin } = await whereToBegin(link, names, highestFloor(before));
  const consumer = ownerConsumer(epoch, begin);
  if (before.some((one) => one.name === consumer)) await removeConsumer(link, names, consumer);
  await link.jsm.consumers.add(names.stream, {
    ...ownerConsumerConfig(consumer, floor, options.ackPendingMax, options.ackWaitMs),
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: floor + 1,
  });
  if (!(await options.confirm())) {
    await removeConsumer(link, names, consumer);
    throw new OwnershipLost(`${names.stream} was taken by somebody else meanwhile`);
  }
  for (const old of before) if (old.name !== consumer) await removeConsumer(link, names, old.name);
  return { consumer, floor, end, begin };
}

/**
 * The acknowledged floor, unless the stream disagrees. One that ends before it has lost records that were there and
 * counts again from its end: then everything is read again, which the ledger's key makes harmless, where going on
 * from the floor would leave new promises unread. One that begins behind it has lost records that were never
 * credited: it is said aloud, and the journals of the gateways have them.
 */
async function whereToBegin(link: NatsLink, names: BucketNames, floor: LogSequence) {
  const { state, config } = await link.jsm.streams.info(names.stream);
  const begin = beginOf(config);
  const first = Math.max(1, state.first_seq);
  const context = { stream: names.stream, floor, first, end: state.last_seq };
  if (floor > state.last_seq) {
    link.logger.error(
      context,
      'the stream ends before what was credited from it: it is read again from its start',
    );
    return { floor: first - 1, end: state.last_seq, begin };
  }
  if (first > Math.max(begin, floor + 1))
    link.logger.error(context, 'records that were not credited are gone from the stream');
  return { floor: Math.max(floor, first - 1), end: state.last_seq, begin };
}

async function removeConsumer(link: NatsLink, names: BucketNames, name: string): Promise<void> {
  try {
    await link.jsm.consumers.delete(names.stream, name);
  } catch (error) {
    if (!isNoConsumer(error)) throw error;
  }
}
