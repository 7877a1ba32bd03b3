import type { JsMsg } from '@nats-io/jetstream';
import { createWaiters } from '../embedded/journal/waiters.ts';
import type { LogRecord, LogSequence } from '../ports.ts';
import { decodeMessage } from './records.ts';

interface Held {
  readonly record: LogRecord;
  /** What is acknowledged; undefined when the record was read from the stream instead of delivered. */
  message: JsMsg | undefined;
}

export interface DeliveriesOptions {
  readonly stream: string;
  readonly floor: LogSequence;
  readonly end: LogSequence;
}

/**
 * What a consumer has delivered and nobody has acknowledged, by sequence. Duplicates and disorder end here. Bounded by
 * the consumer's max_ack_pending.
 */
export function createDeliveries({ stream, floor, end: endAtStart }: DeliveriesOptions) {
  const held = new Map<LogSequence, Held>();
  let acknowledged = floor;
  let last = floor;
  let end = endAtStart;
  let finished = false;
  const waiters = createWaiters(() => (finished ? Number.POSITIVE_INFINITY : last));

  /** Some were delivered up to here, even if they did not arrive: they are read from the stream. */
  function reach(sequence: LogSequence): void {
    if (sequence <= last) return;
    last = sequence;
    end = Math.max(end, last);
    waiters.wake();
  }

  return {
    /** Takes what came. One that was acknowledged before comes again when that was lost: it is acknowledged anew. */
    accept(message: JsMsg): void {
      const { streamSequence: sequence, pending } = message.info;
      end = Math.max(end, sequence + pending);
      if (sequence <= acknowledged) return message.ack();
      const known = held.get(sequence);
      if (known) known.message = message;
      else held.set(sequence, { record: decodeMessage(stream, sequence, message.data), message });
      reach(sequence);
    },
    reach,
    /** Undefined when it has to be read from the stream. */
    record: (sequence: LogSequence): LogRecord | undefined => held.get(sequence)?.record,
    /** Keeps a record that was read from the stream. */
    fill(sequence: LogSequence, record: LogRecord): LogRecord {
      if (sequence > acknowledged && !held.has(sequence)) held.set(sequence, { record, message: undefined });
      return record;
    },
    /** The messages up to here that wait for their acknowledgement, oldest first. */
    unacknowledged(sequence: LogSequence): JsMsg[] {
      const messages: JsMsg[] = [];
      for (let at = acknowledged + 1; at <= sequence; at += 1) {
        const message = held.get(at)?.message;
        if (message) messages.push(message);
      }
      return messages;
    },
    acknowledge(sequence: LogSequence): void {
      for (let at = acknowledged + 1; at <= sequence; at += 1) held.delete(at);
      acknowledged = Math.max(acknowledged, sequence);
    },
    acknowledged: (): LogSequence => acknowledged,
    /** The last one that can be read. */
    last: (): LogSequence => last,
    /** The last one that the stream is known to have. */
    end: (): LogSequence => end,
    /** Nobody waits any more. */
    finish(): void {
      finished = true;
      waiters.wake();
    },
    /** Resolves once something behind `after` can be read, when the signal aborts, or when all is finished. */
    beyond: waiters.beyond,
  };
}

export type Deliveries = ReturnType<typeof createDeliveries>;
