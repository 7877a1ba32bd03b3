import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type ConnectionOptions, connect, type NatsConnection } from '@nats-io/transport-node';
import { type AuditedJournal, nothingTaken, takeRecord } from './journal.ts';
import type { Findings } from './report.ts';

export interface StreamsToRead {
  /** How some of the servers are reached. */
  readonly connect: ConnectionOptions;
  /** What the name of every stream begins with: `<space>-<bucket>`. */
  readonly space: string;
  readonly buckets: number;
}

/**
 * Reads the stream of every bucket from its first message to what is its last at this moment. A message is a record as
 * in the journal (docs/formats.md), grants or a fence, and its place in the stream is its place in time.
 */
export async function readStreams(wanted: StreamsToRead, findings: Findings): Promise<AuditedJournal> {
  const connection = await connect({ ...wanted.connect, name: 'hongbao auditor' });
  try {
    const buckets = Array.from({ length: wanted.buckets }, (_, bucket) => `${wanted.space}-${bucket}`);
    const read = await Promise.all(buckets.map((stream) => readStream(connection, stream, findings)));
    return {
      entries: read.flatMap(({ entries }) => entries),
      batches: read.flatMap(({ batches }) => batches),
      fences: read.reduce((sum, { fences }) => sum + fences, 0),
      records: read.reduce((sum, { records }) => sum + records, 0),
    };
  } finally {
    await connection.close();
  }
}

/** What a server that has no leader yet has swallowed is asked for again after two heartbeats; by default after 30 s. */
const HEARTBEAT_MS = 1_000;
const EXPIRES_MS = 5_000;

async function readStream(
  connection: NatsConnection,
  stream: string,
  findings: Findings,
): Promise<AuditedJournal> {
  const taken = nothingTaken();
  const { state, config } = await (await jetstreamManager(connection)).streams.info(stream);
  // Behind 1 where the servers had lost a stream, and it was made anew.
  const records = state.last_seq - Math.max(1, config.first_seq ?? 1) + 1;
  if (state.messages !== records)
    findings.add('format', 'a stream lacks messages', stream, `${state.messages} of ${records}`);
  if (records === 0) return { ...taken, records };
  const consumer = await jetstream(connection).consumers.get(stream);
  const messages = await consumer.consume({ expires: EXPIRES_MS, idle_heartbeat: HEARTBEAT_MS });
  try {
    for await (const message of messages) {
      takeRecord(taken, Buffer.from(message.data), message.seq, `${stream}:${message.seq}`, findings);
      if (message.seq >= state.last_seq) break;
    }
  } finally {
    // The servers would keep it for minutes, and whoever lists a stream's consumers would wait for it.
    await messages.close();
    await consumer.delete();
  }
  return { ...taken, records };
}
