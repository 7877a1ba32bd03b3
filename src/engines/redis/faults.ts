import { RetryableFault } from '../../protocol/failures.ts';

/** When to ask again, in ms: a replica takes over within some seconds. */
const ASK_AGAIN_MS = 1_000;

/** Replies by which a node says that it is not the one to ask just now, or can't write; by their first word. */
const NOT_NOW = new Set([
  'MOVED',
  'ASK',
  'TRYAGAIN',
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
  'READONLY',
  'NOREPLICAS',
  'MISCONF',
  'OOM',
  'BUSY',
  'UNKILLABLE',
  'NOAUTH',
  'WRONGPASS',
  'NOPERM',
]);

/** A server that will never do, however often it is asked. */
export class UnfitServer extends Error {
  override readonly name = 'UnfitServer';
}

export const unavailable = (message: string, cause?: unknown): RetryableFault =>
  new RetryableFault('book-unavailable', message, ASK_AGAIN_MS, cause === undefined ? {} : { cause });

/**
 * What a failed call means. A reply that finds fault with the call itself is our mistake and stays as it is;
 * everything else (a cut connection, a time-out, a node without a place) may pass.
 */
export function faultOf(error: unknown): Error {
  if (!(error instanceof Error)) return unavailable(String(error));
  if (error instanceof RetryableFault || error instanceof UnfitServer) return error;
  if (isReply(error) && !NOT_NOW.has(error.message.split(' ')[0]!)) return error;
  return unavailable(`Redis: ${error.message}`, error);
}

const isReply = (error: unknown): error is Error => error instanceof Error && error.name === 'ReplyError';

export const isFunctionMissing = (error: unknown): boolean =>
  isReply(error) && error.message.startsWith('ERR Function not found');

export const isLibraryThere = (error: unknown): boolean =>
  isReply(error) && error.message.includes('already exists');

export const isTooOld = (error: unknown): boolean =>
  isReply(error) && error.message.startsWith('ERR unknown command');
