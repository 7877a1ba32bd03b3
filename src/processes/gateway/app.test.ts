import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { beforeEach, expect, it } from 'vitest';
import type { ErrorKind } from '../../protocol/error-kinds.ts';
import { RetryableFault, refuse } from '../../protocol/failures.ts';
import { sendProblem } from '../../protocol/http.ts';
import { createApp } from './app.ts';

let app: FastifyInstance;
let problems: ErrorKind[];
beforeEach(() => {
  problems = [];
  app = createApp({
    logger: pino({ level: 'silent' }),
    onProblem: (kind) => void problems.push(kind),
  });
  app.get('/fine', () => ({ code: 'not a problem' }));
  app.get('/refused', (_, reply) => sendProblem(reply, refuse('budget-exhausted', 'nothing is left')));
  app.get('/away', () => {
    throw new RetryableFault('ledger-unavailable', 'no connection', 1_000);
  });
  app.get('/broken', () => {
    throw new Error('a mistake');
  });
});

it.each([
  ['/fine', 200, []],
  ['/refused', 409, ['budget-exhausted']],
  ['/away', 503, ['ledger-unavailable']],
  ['/broken', 500, ['internal']],
  ['/nowhere', 404, ['not-found']],
])('tells of every problem that it answers with, once: %s %i %j', async (url, status, told) => {
  expect((await app.inject({ url })).statusCode).toBe(status);
  expect(problems).toEqual(told);
});
