import { RetryableFault } from '../protocol/failures.ts';

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
