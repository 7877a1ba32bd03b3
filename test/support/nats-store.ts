import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** One message as it lies on a server's disk. */
export interface StoredMessage {
  readonly sequence: number;
  /** The body, hashed. */
  readonly hash: string;
}

/** Length, sequence, time, length of the subject. */
const HEAD_BYTES = 22;
const CHECKSUM_BYTES = 8;
const HAS_HEADERS = 0x8000_0000;
/** Set in the sequence of what was erased, and of marks for it. */
const NOT_A_MESSAGE = 0xc000_0000;

/** As in StoredMessage. */
export const hashOf = (body: Uint8Array): string => createHash('sha256').update(body).digest('base64url');

/**
 * What one server has of a stream, read from its files: the only way to ask one replica and no other. The server must
 * have stopped, or been quiet for a moment. `storeFolder` is the server's `store_dir`.
 */
export function storedMessages(storeFolder: string, stream: string): StoredMessage[] {
  const folder = path.join(storeFolder, 'jetstream', '$G', 'streams', stream, 'msgs');
  const found = new Map<number, StoredMessage>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.blk')))
    for (const message of messagesOf(readFileSync(path.join(folder, file))))
      found.set(message.sequence, message);
  return [...found.values()].sort((a, b) => a.sequence - b.sequence);
}

/** At how many places of the log the replicas hold different messages, or not all of them hold one. */
export function placesThatDiffer(replicas: readonly (readonly StoredMessage[])[]): number {
  const byPlace = new Map<number, string[]>();
  for (const { sequence, hash } of replicas.flat())
    byPlace.set(sequence, [...(byPlace.get(sequence) ?? []), hash]);
  return [...byPlace.values()].filter((hashes) => hashes.length < replicas.length || new Set(hashes).size > 1)
    .length;
}

function* messagesOf(block: Buffer): Generator<StoredMessage> {
  for (let at = 0; at + HEAD_BYTES <= block.length; ) {
    const length = block.readUInt32LE(at);
    const bytes = length & ~HAS_HEADERS;
    // The end of a block that is being written.
    if (bytes < HEAD_BYTES || at + bytes > block.length) return;
    const isMessage = (block.readUInt32LE(at + 8) & NOT_A_MESSAGE) === 0;
    if (isMessage) yield messageOf(block.subarray(at, at + bytes), (length & HAS_HEADERS) !== 0);
    at += bytes;
  }
}

function messageOf(bytes: Buffer, hasHeaders: boolean): StoredMessage {
  let at = HEAD_BYTES + bytes.readUInt16LE(20);
  if (hasHeaders) at += 4 + bytes.readUInt32LE(at);
  const body = bytes.subarray(at, bytes.length - CHECKSUM_BYTES);
  return {
    sequence: Number(bytes.readBigUInt64LE(4)),
    hash: hashOf(body),
  };
}
