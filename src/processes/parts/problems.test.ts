import pino from 'pino';
import { expect, it } from 'vitest';
import type { ErrorKind } from '../../protocol/error-kinds.ts';
import { createProblems } from './problems.ts';

it('counts every problem, and logs a kind at its level once in ten seconds, with how often it came', () => {
  const counted: ErrorKind[] = [];
  const lines: unknown[] = [];
  let nowMs = 0;
  const logger = pino(
    { level: 'info', base: null, timestamp: false },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  const onProblem = createProblems({
    count: (kind) => void counted.push(kind),
    logger,
    monotonicMs: () => nowMs,
  });
  const line = (level: number, kind: ErrorKind, times: number) => ({
    level,
    kind,
    times,
    msg: 'answered with a problem',
  });
  onProblem('ledger-unavailable');
  onProblem('ledger-unavailable');
  onProblem('not-found'); // debug
  nowMs = 9_999;
  onProblem('ledger-unavailable');
  onProblem('budget-exhausted');
  expect(lines).toEqual([line(50, 'ledger-unavailable', 1), line(30, 'budget-exhausted', 1)]);
  nowMs = 10_000;
  onProblem('ledger-unavailable');
  expect(lines.at(-1)).toEqual(line(50, 'ledger-unavailable', 3));
  expect(counted).toHaveLength(6);
});
