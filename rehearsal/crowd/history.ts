import { closeSync, openSync, writeSync } from 'node:fs';

/** What people saw, a JSON line each, in the order in which they saw it; the auditor reads it (HistoryLine there). */
export interface History {
  /** How many lines there are now: what is known before a question. */
  readonly count: () => number;
  write(user: string, line: { readonly t: string } & Record<string, unknown>): void;
  close(): void;
}

/** `firstN` continues a file that an earlier crowd began. */
export function openHistory(file: string, firstN = 0): History {
  const fd = openSync(file, 'a');
  let n = firstN;
  return {
    count: () => n,
    write(user, line) {
      n += 1;
      writeSync(fd, `${JSON.stringify({ n, user, ...line })}\n`);
    },
    close: () => closeSync(fd),
  };
}
