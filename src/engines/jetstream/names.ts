import { createHash } from 'node:crypto';

/**
 * What things are called on the servers. Every name carries the deployment's own name (`space`, an id part), so that
 * internal test, drill and live clusters may share servers and never see one another's data (I7).
 */
export const NAME_PART = /^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/;

export interface BucketNames {
  readonly stream: string;
  readonly grantsSubject: string;
  readonly fenceSubject: string;
  /** Core NATS, kept by nobody: "something of this bucket was credited". Only ever a reason to look. */
  readonly drainedSubject: string;
  /** Core NATS: asks the bucket's owner how far it has credited. */
  readonly howFarSubject: string;
  /** Core NATS: asks whether somebody still has to publish into a stream that was made anew. Only they answer. */
  readonly owingSubject: string;
}

export const bucketNames = (space: string, bucket: number): BucketNames => ({
  stream: `${space}-${bucket}`,
  grantsSubject: `${space}.log.${bucket}.grants`,
  fenceSubject: `${space}.log.${bucket}.fence`,
  drainedSubject: `${space}.drained.${bucket}`,
  howFarSubject: `${space}.how-far.${bucket}`,
  owingSubject: `${space}.owing.${bucket}`,
});

/** The KV bucket in which creditors agree who owns what, and the core subject on which they wake one another. */
export const ownersBucket = (space: string): string => `${space}-owners`;
export const ownersSubject = (space: string): string => `${space}.owners`;

/** Core NATS: a process that can't reach the book has the bucket's owner tell it that it misses something. */
export const missedSubject = (space: string, bucket: number): string => `${space}.book.missed.${bucket}`;

const OWNER_CONSUMER = /^credit-(\d{1,15})(?:-\d{1,15})?$/;

/**
 * An owner's consumer is named by its epoch: the next owner's is another one, and the old one is deleted. Epochs begin
 * anew when the document of owners was lost, so that of a stream that was made anew is named by its beginning, too.
 */
export const ownerConsumer = (epoch: number, begin = 1): string =>
  begin === 1 ? `credit-${epoch}` : `credit-${epoch}-${begin}`;

/** The epoch of an owner's consumer; undefined when it is somebody else's. */
export function epochOfConsumer(name: string): number | undefined {
  const found = OWNER_CONSUMER.exec(name);
  return found ? Number(found[1]) : undefined;
}

/** A batch's seal stands first in its bytes: key, nonce, signature (docs/formats.md, "Journal"). */
const SEAL_BYTES = 79;

/**
 * The same batch, the same message id, whichever process sends it. Its seal names it: a nonce is used once, and the
 * signature is over everything in the batch.
 */
export const batchName = (body: Uint8Array): string =>
  createHash('sha256').update(body.subarray(0, SEAL_BYTES)).digest('base64url').slice(0, 22);
