import {
  AckPolicy,
  DiscardPolicy,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream';
import { RetryableFault } from '../../protocol/failures.ts';
import type { SliceUnit } from '../../vocabulary/order.ts';
import { encodeFence } from '../embedded/journal/record-codec.ts';
import type { LogSequence } from '../ports.ts';
import type { Absence } from './absence.ts';
import { isAtLeast, type NatsLink } from './connection.ts';
import { durabilityOf } from './durability.ts';
import { bucketNames } from './names.ts';

export interface StreamSettings {
  readonly space: string;
  /** How many buckets; the same in the whole life of a cluster. */
  readonly buckets: number;
  /** 3 outside of tests. */
  readonly replicas: number;
  /** Of each stream. A full one refuses; nothing is dropped from it. */
  readonly bytesMax: number;
  /** `http://host:8222` of one of the servers, if there is one: only there do they tell when they fsync. */
  readonly monitoringUrls?: readonly string[];
}

/** Publishing again within this time is noticed by the stream; later, by the ledger's key. */
const DUPLICATE_WINDOW_MS = 120_000;
const NANOS_A_MS = 1_000_000;
const STREAM_NOT_FOUND = 10059;

/** What is left of a log whose servers have lost it. */
export interface PastLog {
  /** Whether there was a stream of this bucket before. */
  wasThere(bucket: number): Promise<boolean>;
  /** The slices of which the ledger takes nothing more: what it has not credited of them is void for good. */
  fences(): Promise<readonly Pick<SliceUnit, 'sliceId' | 'epoch'>[]>;
  /** Of each bucket's stream. */
  readonly absences: readonly Absence[];
  /** Awaited before a stream that was made anew takes grants. */
  beforeOpening(bucket: number): Promise<void>;
}

/** There is no stream where there was one, and it is not sure yet that it is gone for good. */
export class StreamMissing extends RetryableFault {
  constructor(stream: string) {
    super('log-unavailable', `there is no stream ${stream}, and there was one: waiting to be sure`, 1_000);
  }
}

/** Thrown at the start when a stream would keep its promises worse than was asked for. Says what to change. */
export class WeakStream extends Error {
  override readonly name = 'WeakStream';
}

/**
 * Makes the stream of every bucket that is not there yet, and refuses those that are there but weaker. Says what is
 * known about the servers' fsync.
 */
export async function ensureStreams(link: NatsLink, settings: StreamSettings, past?: PastLog): Promise<void> {
  // One that is still waited for holds up no other: each needs its own time to prove that it is gone.
  const waits: unknown[] = [];
  for (let bucket = 0; bucket < settings.buckets; bucket += 1) {
    await ensureStream(link, settings, bucket, past).catch((error: unknown) => {
      if (error instanceof StreamMissing) waits.push(error);
      else throw error;
    });
  }
  if (waits.length > 0) throw waits[0];
  const { sync, says } = await durabilityOf(link, settings.monitoringUrls ?? []);
  link.logger[sync === 'always' ? 'info' : 'warn']({ sync }, says);
}

/** The stream of one bucket: made when there is none, opened when somebody has begun to make it anew. */
export async function ensureStream(
  link: NatsLink,
  settings: StreamSettings,
  bucket: number,
  past?: PastLog,
): Promise<void> {
  const wanted = wantedConfig(settings, bucket);
  const standing = await infoOf(link, wanted.name);
  const found = standing ?? (await makeOrMakeAnew(link, wanted, bucket, past));
  if (past && isClosed(found.config)) return openAnew(link, wanted, found, bucket, past);
  const faults = weaknesses(found.config, wanted);
  if (faults.length > 0)
    throw new WeakStream(`the stream ${wanted.name} is weaker than it has to be: ${faults.join('; ')}`);
}

function wantedConfig(settings: StreamSettings, bucket: number) {
  const names = bucketNames(settings.space, bucket);
  return {
    name: names.stream,
    description: `hongbao grants, bucket ${bucket} of ${settings.buckets}`,
    subjects: [names.grantsSubject, names.fenceSubject],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    num_replicas: settings.replicas,
    max_bytes: settings.bytesMax,
    max_age: 0,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    duplicate_window: DUPLICATE_WINDOW_MS * NANOS_A_MS,
    allow_direct: true,
    deny_delete: true,
  } satisfies Partial<StreamConfig> & { name: string };
}

export async function infoOf(link: NatsLink, stream: string): Promise<StreamInfo | undefined> {
  try {
    return await link.jsm.streams.info(stream);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

async function makeOrMakeAnew(
  link: NatsLink,
  wanted: ReturnType<typeof wantedConfig>,
  bucket: number,
  past: PastLog | undefined,
): Promise<StreamInfo> {
  if (!past || !(await past.wasThere(bucket))) return make(link, wanted);
  if (!past.absences[bucket]!.confirm()) throw new StreamMissing(wanted.name);
  return makeClosed(link, wanted);
}

/** 2024 in ms: a clock that has lost its battery gives no place that is surely behind all others. */
const BEGIN_MIN = 1_704_067_200_000;

/**
 * In place of a stream that the servers have lost. It begins far behind every place of that one, so that a place says
 * which of the two it is of, and it takes no grants yet: a subject that no stream has is heard by nobody.
 */
async function makeClosed(link: NatsLink, wanted: ReturnType<typeof wantedConfig>): Promise<StreamInfo> {
  if (!isAtLeast(link, 2, 10))
    throw new RetryableFault(
      'log-unavailable',
      `${wanted.name} is gone, and servers before 2.10 can't begin a stream at a place of its own`,
      10_000,
    );
  const [, fenceSubject] = wanted.subjects;
  const firstSeq = link.clock.now() as number;
  if (firstSeq < BEGIN_MIN)
    throw new RetryableFault('log-unavailable', 'this machine’s clock stands before 2024', 10_000);
  try {
    const info = await link.jsm.streams.add({ ...wanted, subjects: [fenceSubject!], first_seq: firstSeq });
    link.logger.error(
      { stream: wanted.name, firstSeq },
      'the servers have lost a stream: it is made anew from what the journals and the ledger hold',
    );
    return info;
  } catch (error) {
    // Somebody else was faster.
    const found = await infoOf(link, wanted.name);
    if (found) return found;
    throw error;
  }
}

/** Whether a stream takes fences only: somebody is making it anew. */
export const isClosed = (config: StreamConfig): boolean => config.subjects.length === 1;

/** Where the places of a stream begin; behind 1 in one that was made anew. */
export const beginOf = (config: StreamConfig): LogSequence => Math.max(1, config.first_seq ?? 1);

const FENCES_AT_ONCE = 128;

/**
 * The fences of the closed slices go before everything that is published again: what was void stays void, and what was
 * credited is passed over by its key, wherever it stands. Several processes may do it at once, or one after another.
 */
async function openAnew(
  link: NatsLink,
  wanted: ReturnType<typeof wantedConfig>,
  { config }: StreamInfo,
  bucket: number,
  past: PastLog,
): Promise<void> {
  const fences = await past.fences();
  const [, subject] = wanted.subjects;
  for (let at = 0; at < fences.length; at += FENCES_AT_ONCE)
    await Promise.all(
      fences
        .slice(at, at + FENCES_AT_ONCE)
        .map((fence) =>
          link.js.publish(subject!, encodeFence(fence), { expect: { streamName: wanted.name } }),
        ),
    );
  await past.beforeOpening(bucket);
  await link.jsm.streams.update(wanted.name, { ...config, subjects: wanted.subjects });
  link.logger.warn(
    { stream: wanted.name, fences: fences.length },
    'a stream that was made anew takes grants',
  );
}

/** Two processes may make it at the same moment: the same settings again are no error. */
async function make(link: NatsLink, wanted: ReturnType<typeof wantedConfig>): Promise<StreamInfo> {
  const info = await link.jsm.streams.add(wanted);
  link.logger.info({ stream: wanted.name, replicas: wanted.num_replicas }, 'a stream was made');
  return info;
}

/** What of a stream that is there would break a promise. More than was asked for is fine. */
function weaknesses(has: StreamConfig, wanted: ReturnType<typeof wantedConfig>): string[] {
  const faults: string[] = [];
  const must = (holds: boolean, what: string) => {
    if (!holds) faults.push(what);
  };
  must(has.storage === StorageType.File, 'storage is not file');
  must(has.retention === RetentionPolicy.Limits, 'retention is not limits: what was read would be gone');
  must(has.discard === DiscardPolicy.New, 'discard is not new: a full stream would drop what was promised');
  must(
    has.num_replicas >= wanted.num_replicas,
    `it has ${has.num_replicas} replicas, not ${wanted.num_replicas}`,
  );
  must(has.max_age === 0, 'max_age is set: what was promised would grow old and go');
  must(has.max_msgs === -1 && has.max_msgs_per_subject === -1, 'it is limited in messages');
  must(has.max_bytes === -1 || has.max_bytes >= wanted.max_bytes, `max_bytes is under ${wanted.max_bytes}`);
  must(has.duplicate_window >= wanted.duplicate_window, 'duplicate_window is under 2 min');
  must(has.no_ack !== true, 'no_ack is set');
  must(has.sealed !== true, 'it is sealed');
  must(
    wanted.subjects.length === has.subjects.length &&
      wanted.subjects.every((subject) => has.subjects.includes(subject)),
    `its subjects are ${has.subjects.join(', ')}`,
  );
  must(
    has.description === wanted.description,
    `it says "${has.description ?? ''}", this process would say "${wanted.description}"; buckets never change in number`,
  );
  return faults;
}

/** What an owner's consumer is like; `startAfter` is the last record that is known to be in the ledger. */
export const ownerConsumerConfig = (
  name: string,
  startAfter: number,
  ackPendingMax: number,
  ackWaitMs: number,
) => ({
  durable_name: name,
  description: `after ${startAfter}`,
  ack_policy: AckPolicy.Explicit,
  ack_wait: ackWaitMs * NANOS_A_MS,
  max_ack_pending: ackPendingMax,
  max_deliver: -1,
});
