import type { TokenBook } from '../engines/ports.ts';
import { RetryableFault } from '../protocol/failures.ts';
import type { ActId } from '../vocabulary/ids.ts';

/**
 * Does without the token book when it is away: it is a cache of the promise, and nothing that it knows is the truth
 * about "once". Other failures are thrown on.
 */
export async function unlessBookIsAway<Result>(act: () => Promise<Result>, instead: Result): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof RetryableFault && error.kind === 'book-unavailable') return instead;
    throw error;
  }
}

/**
 * What is read of a person, and whether that was all there is: only if the book was whole before and behind it. Before
 * alone, it may have forgotten meanwhile; behind it alone, it may have been filled meanwhile.
 */
export async function readWhole<Found>(
  book: Pick<TokenBook, 'isWhole'>,
  actId: ActId,
  read: () => Promise<Found>,
): Promise<{ readonly found: Found; readonly isAll: boolean }> {
  const wasWhole = await book.isWhole(actId);
  const found = await read();
  return { found, isAll: wasWhole && (await book.isWhole(actId)) };
}
