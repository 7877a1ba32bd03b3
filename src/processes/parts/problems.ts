import type { Logger } from 'pino';
import { ERROR_KINDS, type ErrorKind } from '../../protocol/error-kinds.ts';

const LINE_EVERY_MS = 10_000;

export interface ProblemsOptions {
  /** Told of every one. */
  readonly count: (kind: ErrorKind) => void;
  readonly logger: Logger;
  readonly monotonicMs: () => number;
}

/**
 * What is answered instead of what was asked for: counted, and logged at its kind's level. A line of a kind in ten
 * seconds, with how many there were: millions may be told the same in one night.
 */
export function createProblems({ count, logger, monotonicMs }: ProblemsOptions): (kind: ErrorKind) => void {
  const lines = new Map<ErrorKind, { readonly atMs: number; untold: number }>();
  return (kind) => {
    count(kind);
    const nowMs = monotonicMs();
    const line = lines.get(kind);
    if (line && nowMs - line.atMs < LINE_EVERY_MS) {
      line.untold += 1;
      return;
    }
    lines.set(kind, { atMs: nowMs, untold: 0 });
    logger[ERROR_KINDS[kind].logLevel]({ kind, times: 1 + (line?.untold ?? 0) }, 'answered with a problem');
  };
}
