import { HongbaoProblem } from '../client/index.ts';
import type { Language, Words } from './words.ts';

/** What a person is told of a failure: our own words where we have better ones, else the server's. */
export function problemText(error: unknown, words: Words, language: Language): string {
  if (!(error instanceof HongbaoProblem)) return words.failed;
  switch (error.code) {
    case 'throttled':
    case 'overloaded':
      return words.busy;
    case 'unreachable':
    case 'time-out':
    case 'session-unavailable':
      return words.offline;
    default:
      return error.title?.[language] ?? words.failed;
  }
}
