import type { StreamInfo, StreamState } from '@nats-io/jetstream';
import type { RetryableFault } from '../../protocol/failures.ts';
import type { NatsLink } from './connection.ts';
import { infoOf } from './streams.ts';

export interface Health {
  readonly accepting: boolean;
  readonly reason?: string;
}

/** How often a stream is looked at while it takes nothing, and how often otherwise. */
const PROBE_MS = 500;
const LOOK_MS = 5_000;
/** A replica whom the leader has not heard for longer does not count. Heartbeats come every second. */
const SILENT_NANOS_MAX = 3e9;
/**
 * A stream is filled no further than this. At its very limit a server drops the oldest record in spite of "discard
 * new": its check leaves out what it adds to each message (seen with nats-server 2.9.10).
 */
const FULL_PART = 0.9;
/** What a server adds to a message: its subject, headers, sequence, time and checksum, at most. */
const MESSAGE_OVERHEAD_BYTES = 256;

/**
 * Whether a stream would take an append now: by the connection, by what became of the last appends, and by a look at
 * its replicas every few seconds. A leader that is cut off from its followers answers an info as if nothing were
 * wrong, so what counts is when it last heard them. `onState` is told what each look has found.
 */
export function watchStream(link: NatsLink, stream: string, onState: (state: StreamState) => void) {
  let reason: string | undefined;
  /** How much more may be appended before the next look; other processes append too, which the slack is for. */
  let bytesLeft = Number.POSITIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let closed = false;
  const endListening = link.onChange((isUp) => {
    if (!isUp) mark('there is no connection to NATS');
    else lookIn(0);
  });

  const mark = (next: string | undefined): void => {
    if (next !== reason) link.logger.warn({ stream, reason: next ?? 'none' }, 'the stream’s health changed');
    reason = next;
  };

  function lookIn(ms: number): void {
    clearTimeout(timer);
    if (closed) return;
    timer = setTimeout(look, ms);
    timer.unref();
  }

  /** One at a time: an answer that was given up long ago would say what is no longer so. */
  function look(): Promise<void> {
    looking ??= lookOnce().finally(() => {
      looking = undefined;
      lookIn(reason === undefined ? LOOK_MS : PROBE_MS);
    });
    return looking;
  }

  async function lookOnce(): Promise<void> {
    try {
      mark(await fault());
    } catch (error) {
      mark(`${stream} does not answer: ${(error as Error).message}`);
    }
  }

  async function fault(): Promise<string | undefined> {
    if (link.downForMs() > 0) return 'there is no connection to NATS';
    const info = await infoOf(link, stream);
    if (info) onState(info.state);
    if (info && info.config.max_bytes > 0) bytesLeft = info.config.max_bytes * FULL_PART - info.state.bytes;
    return info ? faultOf(info) : `there is no stream ${stream}`;
  }

  lookIn(0);
  return {
    health(): Health {
      const why = closed ? 'the log is closed' : reason;
      return why === undefined ? { accepting: true } : { accepting: false, reason: why };
    },
    /** What became of an append: a success proves more than any look. */
    note(outcome: RetryableFault | undefined): void {
      mark(outcome?.message);
      if (outcome) lookIn(PROBE_MS);
    },
    /** Takes room for a message. Undefined when there is some; otherwise what a look will say. */
    takeRoom(bytes: number): Promise<boolean> | undefined {
      bytesLeft -= bytes + MESSAGE_OVERHEAD_BYTES;
      if (bytesLeft > 0) return undefined;
      return look().then(() => bytesLeft > 0);
    },
    close(): void {
      closed = true;
      clearTimeout(timer);
      endListening();
    },
  };
}

/** Why a stream that answers would not take an append. */
export function faultOf(info: StreamInfo): string | undefined {
  const { config, state } = info;
  if (config.max_bytes > 0 && state.bytes > config.max_bytes * FULL_PART)
    return `${config.name} is as full as it may be: ${state.bytes} of ${config.max_bytes} bytes`;
  return quorumFault(info);
}

/** Why what a stream's leader says may be old: it does not hear the others, and they may follow another by now. */
export function quorumFault({ config, cluster }: StreamInfo): string | undefined {
  if (config.num_replicas === 1) return undefined;
  if (!cluster?.leader) return `${config.name} has no leader`;
  const heard = (cluster.replicas ?? []).filter(
    (one) => one.offline !== true && one.active > 0 && one.active < SILENT_NANOS_MAX,
  ).length;
  return 1 + heard > config.num_replicas / 2
    ? undefined
    : `${config.name} has no quorum: its leader hears ${heard} of ${config.num_replicas - 1} others`;
}
