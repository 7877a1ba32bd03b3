import { RetryableFault } from '../../protocol/failures.ts';
import { encodeFence, encodeGrants } from '../embedded/journal/record-codec.ts';
import type { GrantLog, LogRecord, LogSequence, MicroBatch } from '../ports.ts';
import type { NatsLink } from './connection.ts';
import { watchDrained } from './drained-watch.ts';
import { createGenerations, type Generation, type GenerationsOptions } from './generations.ts';
import { bucketNames } from './names.ts';
import { createPublisher, dedupesSafely } from './publisher.ts';
import { recordAt } from './records.ts';
import { createEndNow } from './stream-end.ts';
import { watchStream } from './stream-health.ts';
import { createUnderWay } from './under-way.ts';

export interface JetStreamLogOptions {
  readonly link: NatsLink;
  readonly space: string;
  readonly bucket: number;
  /** Of this start of the process: names what is appended without a name of its own. */
  readonly bootId: string;
  /** Of the stream; where repeats are sifted out depends on it (publisher.ts, `dedupesSafely`). */
  readonly replicas: number;
  readonly deadlineMs?: number;
  /** What is known of the stream, and what is done when its servers have lost it. */
  readonly life?: Pick<GenerationsOptions, 'known' | 'isFirst' | 'adopt' | 'remake' | 'graceMs'>;
}

/** The GrantLog of one bucket, for everybody who appends; who credits reads it as its owner (owned-log.ts). */
export interface JetStreamLog extends GrantLog {
  /** As `append`, under a name: a stream that keeps names keeps one record of each, for its duplicate window. */
  appendNamed(body: Uint8Array, name: string): Promise<LogSequence>;
  /** Tells when the stream is found to end before a record that it had acknowledged: the servers have lost some. */
  whenShorter(listener: (end: LogSequence) => void): void;
  /**
   * Tells when the stream is found to be another one: the servers have lost everything, and it was made anew. Whoever
   * hears it says whether he still publishes into it; until nobody does, it takes no fences.
   */
  whenAnew(listener: (generation: Generation) => void, owes: () => boolean): void;
  /** Which stream it is; undefined before the first look. */
  generation(): Generation | undefined;
}

const DEADLINE_MS = 2_000;

export function createJetStreamLog(options: JetStreamLogOptions): JetStreamLog {
  const { link, bootId } = options;
  const names = bucketNames(options.space, options.bucket);
  /** The last record that was acknowledged to this process. */
  let confirmed: LogSequence = 0;
  let onShorter: (end: LogSequence) => void = () => {};
  const generations = createGenerations({ link, names, ...options.life });
  const watch = watchStream(link, names.stream, (found) => {
    generations.look(found);
    const end = typeof found === 'string' ? confirmed : found.state.last_seq;
    if (end >= confirmed) return;
    link.logger.error(
      { stream: names.stream, end, confirmed },
      'the stream has lost what it had acknowledged',
    );
    confirmed = end;
    onShorter(end);
  });
  const drained = watchDrained(link, names);
  const endNow = createEndNow(link, names.stream, () => confirmed, generations.mustBeWhole);
  const publish = createPublisher({
    link,
    stream: names.stream,
    deadlineMs: options.deadlineMs ?? DEADLINE_MS,
    dedupe: dedupesSafely(link, options.replicas),
    onOutcome: watch.note,
  });
  /** What is under way; a fence goes out once all of it has ended, and what comes after the fence waits for it. */
  const underWay = createUnderWay();
  let fenced: Promise<unknown> = Promise.resolve();
  let fences = 0;
  let appends = 0;
  let closing: Promise<void> | undefined;

  async function send(subject: string, body: Uint8Array, name: string): Promise<LogSequence> {
    const { seq } = await publish(subject, body, name);
    confirmed = Math.max(confirmed, seq);
    return seq;
  }

  function appendNamed(body: Uint8Array, name: string): Promise<LogSequence> {
    if (closing) return Promise.reject(closed());
    const room = watch.takeRoom(body.length);
    if (!room && fences === 0) return underWay.track(send(names.grantsSubject, body, name));
    return underWay.track(sendAfter(room, fenced, body, name));
  }

  async function sendAfter(
    room: Promise<boolean> | undefined,
    fence: Promise<unknown>,
    body: Uint8Array,
    name: string,
  ): Promise<LogSequence> {
    await fence;
    if (room && !(await room)) throw full(names.stream);
    return send(names.grantsSubject, body, name);
  }

  function appendFence(body: Uint8Array, name: string): Promise<LogSequence> {
    if (closing) return Promise.reject(closed());
    const before = underWay.ended();
    fences += 1;
    const sent = before.then(generations.mayFence).then(() => send(names.fenceSubject, body, name));
    fenced = sent.then(
      () => {},
      () => {},
    );
    void fenced.then(() => {
      fences -= 1;
    });
    return underWay.track(sent);
  }

  /** What was waited for must still stand: the floor may be that of a stream which was made anew meanwhile. */
  async function untilDrained(sequence: LogSequence, signal: AbortSignal): Promise<void> {
    await drained.until(sequence, signal);
    if (sequence < 1) return;
    try {
      await recordAt(link, names, sequence);
    } catch (error) {
      if (error instanceof RetryableFault) throw error;
      throw new RetryableFault('draining', `${names.stream} has lost record ${sequence}`, 1_000);
    }
  }

  async function close(): Promise<void> {
    await underWay.drained();
    watch.close();
    generations.close();
    drained.close();
  }

  return {
    async append(batch: MicroBatch) {
      appends += 1;
      return appendNamed(encodeGrants(batch), `${bootId}-${appends}`);
    },
    appendNamed,
    whenShorter(listener) {
      onShorter = listener;
    },
    async appendFence({ sliceId, epoch }) {
      appends += 1;
      return appendFence(encodeFence({ sliceId, epoch }), `${bootId}-${appends}`);
    },
    at: (sequence): Promise<LogRecord> => recordAt(link, names, sequence),
    whenAnew: generations.whenAnew,
    generation: generations.known,
    endNow: () => (closing ? Promise.reject(closed()) : endNow()),
    untilDrained,
    health: watch.health,
    close() {
      closing ??= close();
      return closing;
    },
  };
}

const full = (stream: string) => new RetryableFault('log-unavailable', `${stream} is full`, 1_000);
const closed = () => new RetryableFault('log-unavailable', 'the log is closed', 1_000);
