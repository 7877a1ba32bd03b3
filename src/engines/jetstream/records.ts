import { RetryableFault } from '../../protocol/failures.ts';
import { decodeRecord } from '../embedded/journal/record-codec.ts';
import type { LogRecord, LogSequence } from '../ports.ts';
import type { NatsLink } from './connection.ts';
import type { BucketNames } from './names.ts';

const FAULT_DELAY_MS = 500;

/** A message that is no record: somebody else has published into the stream, or a disk has altered it. */
export class ForeignRecord extends Error {
  override readonly name = 'ForeignRecord';
}

/** Throws ForeignRecord: nothing behind it may be credited before a person has looked. */
export function decodeMessage(stream: string, sequence: LogSequence, data: Uint8Array): LogRecord {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const record = decodeRecord(sequence, bytes);
  if (!record) throw new ForeignRecord(`message ${sequence} of ${stream} is no record of grants or a fence`);
  return record;
}

/**
 * One record: from the stream's leader, and only when there is none from whichever replica answers. A replica that has
 * just woken may show what was never agreed upon. Throws a plain Error when there is none, a RetryableFault when it
 * can't be known now.
 */
export async function recordAt(
  link: NatsLink,
  names: BucketNames,
  sequence: LogSequence,
): Promise<LogRecord> {
  if (!Number.isSafeInteger(sequence) || sequence < 1) throw noRecord(names, sequence);
  const data = await rawAt(link, names.stream, sequence);
  if (!data) throw noRecord(names, sequence);
  return decodeMessage(names.stream, sequence, data);
}

async function rawAt(link: NatsLink, stream: string, seq: LogSequence): Promise<Uint8Array | undefined> {
  try {
    return (await link.jsm.streams.getMessage(stream, { seq }))?.data;
  } catch (fault) {
    try {
      const near = await link.jsm.direct.getMessage(stream, { seq });
      if (near) return near.data;
    } catch {
      // Told below, with the leader's own reason.
    }
    const what = `record ${seq} of ${stream} can't be read now: ${(fault as Error).message}`;
    throw new RetryableFault('log-unavailable', what, FAULT_DELAY_MS, { cause: fault });
  }
}

const noRecord = (names: BucketNames, sequence: LogSequence) =>
  new Error(`the stream ${names.stream} has no record ${sequence}`);
