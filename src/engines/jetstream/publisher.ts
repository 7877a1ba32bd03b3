import { setTimeout as delay } from 'node:timers/promises';
import { JetStreamApiError, type PubAck } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { RetryableFault } from '../../protocol/failures.ts';
import { isAtLeast, type NatsLink } from './connection.ts';

export interface PublisherOptions {
  readonly link: NatsLink;
  readonly stream: string;
  /** After this long without an answer the caller is told that it is unknown. */
  readonly deadlineMs: number;
  /** Whether the stream is told the message's name, so that it keeps one of each; see `dedupesSafely`. */
  readonly dedupe: boolean;
  /** Told of every append that the stream took or did not. */
  readonly onOutcome: (fault: RetryableFault | undefined) => void;
}

/** How long one try waits for its answer before the message goes out again under its name. */
const TRY_MS = 1_000;
const PAUSE_MS = 50;
/** A shorter interruption is waited out; in a longer one nobody is kept waiting. */
const INTERRUPTION_MS = 1_000;
const FAULT_DELAY_MS = 1_000;

/** Stored by the leader may have failed after others stored it (a full disk): the one refusal that proves nothing. */
const STORE_FAILED = 10077;
const FULL = /maximum (bytes|messages) exceeded/;

/**
 * The leader knows the name, but the message is not agreed upon yet and may still be lost with the leader: no answer,
 * whatever it looks like. 2.10 says so by an acknowledgement with place 0, newer servers by this refusal.
 */
const NAME_UNDER_WAY = 10158;
const UNDER_WAY = 'the message is under way under its name';

/**
 * Publishes into one stream and tells apart what a failure means. Only the stream's own acknowledgement counts: with
 * three replicas it comes after two of them have the message. Where the stream keeps one message of a name (for its
 * duplicate window, after that the ledger's key does), it goes out again until the deadline; elsewhere it goes out
 * once, and again only when certainly nobody has heard it.
 */
export function createPublisher(options: PublisherOptions) {
  const { link, stream } = options;

  async function tryUntil(
    deadlineAtMs: number,
    publish: (tryMs: number) => Promise<PubAck>,
  ): Promise<PubAck> {
    let sent = false;
    for (let reason = 'no connection'; ; ) {
      const leftMs = deadlineAtMs - link.clock.monotonicMs();
      if (leftMs <= 0 || link.downForMs() > INTERRUPTION_MS) throw noAnswer(sent, reason);
      if (link.downForMs() === 0) {
        try {
          const ack = await publish(Math.max(1, options.dedupe ? Math.min(TRY_MS, leftMs) : leftMs));
          if (ack.seq > 0) return ack;
          sent = true;
          reason = UNDER_WAY;
        } catch (error) {
          if (isRefused(error)) throw refused(error, sent);
          reason = (error as Error).message;
          sent ||= !isUnheard(error);
          if (link.nc.isClosed() || (sent && !options.dedupe)) throw noAnswer(sent, reason);
        }
      }
      await delay(Math.min(PAUSE_MS, leftMs));
    }
  }

  const noAnswer = (sent: boolean, reason: string): RetryableFault =>
    sent
      ? new RetryableFault('outcome-unknown', `${stream} has not answered: ${reason}`, FAULT_DELAY_MS)
      : new RetryableFault('log-unavailable', `${stream} can't be reached: ${reason}`, FAULT_DELAY_MS);

  /** A refusal is about this try alone: what an earlier one has sent may be stored yet. */
  const refused = (error: JetStreamApiError, sent: boolean): RetryableFault =>
    new RetryableFault(
      sent || (error.code === STORE_FAILED && !FULL.test(error.message))
        ? 'outcome-unknown'
        : 'log-unavailable',
      `${stream} refuses: ${error.message}`,
      FAULT_DELAY_MS,
      { cause: error },
    );

  return async (subject: string, body: Uint8Array, msgID: string): Promise<PubAck> => {
    const expect = { streamName: stream };
    try {
      const ack = await tryUntil(link.clock.monotonicMs() + options.deadlineMs, (timeout) =>
        link.js.publish(subject, body, { ...(options.dedupe ? { msgID } : {}), expect, timeout }),
      );
      options.onOutcome(undefined);
      return ack;
    } catch (error) {
      if (error instanceof RetryableFault) options.onOutcome(error);
      throw error;
    }
  };
}

/**
 * Message ids make it likelier that replicas of nats-server 2.9 differ after a leader has frozen and woken: some take
 * a message for a repeat that others store, and from there on a sequence is another record on each
 * (docs/decisions/0007). There the ledger's key alone keeps repeats from counting.
 */
export function dedupesSafely(link: NatsLink, replicas: number): boolean {
  return replicas === 1 || isAtLeast(link, 2, 10);
}

const isRefused = (error: unknown): error is JetStreamApiError =>
  error instanceof JetStreamApiError && error.code !== NAME_UNDER_WAY;

/** Nobody listens on the subject (the stream has no leader), or it was never sent: nothing can have been stored. */
function isUnheard(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at instanceof errors.NoRespondersError || at instanceof errors.ClosedConnectionError) return true;
  }
  return false;
}
