import { AckPolicy, DeliverPolicy } from '@nats-io/jetstream';
import { type Fences, passFence } from '../../rules/fences.ts';
import type { LogSequence } from '../ports.ts';
import type { NatsLink } from './connection.ts';
import type { BucketNames } from './names.ts';
import { decodeMessage } from './records.ts';

const FETCH_MAX = 500;
const FETCH_MS = 5_000;
const FORGOTTEN_NANOS = 30e9;

/**
 * The fences that stand at or before `upTo`, read by their own subject: a new owner begins behind them and would not
 * know which orders they void.
 */
export async function pastFences(link: NatsLink, names: BucketNames, upTo: LogSequence): Promise<Fences> {
  const fences: Fences = new Map();
  if (upTo === 0) return fences;
  const { name } = await link.jsm.consumers.add(names.stream, {
    filter_subject: names.fenceSubject,
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.All,
    inactive_threshold: FORGOTTEN_NANOS,
    num_replicas: 1,
    mem_storage: true,
  });
  const consumer = await link.js.consumers.get(names.stream, name);
  let left = (await consumer.info(true)).num_pending;
  while (left > 0) {
    const messages = await consumer.fetch({ max_messages: Math.min(left, FETCH_MAX), expires: FETCH_MS });
    for await (const message of messages) {
      left = message.info.pending;
      if (message.seq > upTo) left = 0;
      if (message.seq <= upTo) note(fences, names, message.seq, message.data);
    }
  }
  await consumer.delete();
  return fences;
}

function note(fences: Fences, names: BucketNames, sequence: LogSequence, data: Uint8Array): void {
  const record = decodeMessage(names.stream, sequence, data);
  if (record.kind === 'fence') passFence(fences, record.sliceId, record.epoch, sequence);
}
