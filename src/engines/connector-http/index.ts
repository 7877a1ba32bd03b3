import { exchange, httpBase } from '../http/exchange.ts';
import type { Connector, FulfilAnswer, FulfilAsk } from '../ports.ts';
import { meaningOf } from './answer.ts';
import { createAuthorize } from './auth.ts';
import type { ConnectorDraft, RequestDraft } from './schema.ts';
import { type Filling, fill, fillHeader, fillingOf, fillJson, fillPath } from './template.ts';

export const TIMEOUT_MS = 3_000;
export const CONCURRENCY_MAX = 8;

export interface HttpConnectorOptions {
  /** As it was read and checked (read.ts). */
  readonly entry: ConnectorDraft;
  /** What an environment variable holds; asked once, here. */
  readonly secretOf: (variable: string) => string;
  readonly nowMs: () => number;
}

/**
 * A downstream behind HTTP, in words of its own: requests are templates, answers are told apart by rules. Whatever the
 * rules do not know is unknown, never failed: a time-out, a cut connection, a redirect, an answer of another shape.
 */
export function createHttpConnector({ entry, secretOf, nowMs }: HttpConnectorOptions): Connector {
  const base = httpBase(entry.url, `connector ${entry.name}’s`);
  const basePath = new URL(base).pathname.replace(/\/$/, '');
  const authorize = createAuthorize(entry.auth, secretOf, nowMs);
  const timeoutMs = entry.timeoutMs ?? TIMEOUT_MS;

  async function put(asked: 'give' | 'query', ask: FulfilAsk): Promise<FulfilAnswer> {
    const filling = fillingOf(ask);
    const request = entry[asked];
    const path = fillPath(request.path, filling);
    // Nobody was asked, and nobody else is the worse for it: it waits until its scene is mended.
    if (path === undefined)
      return { answer: 'unknown', reason: 'its item can’t stand in a path', isThere: true };
    const body = request.body === undefined ? '' : JSON.stringify(fillJson(request.body, filling));
    const init: RequestInit = {
      method: request.method,
      headers: {
        ...headersOf(request, filling),
        ...authorize({ method: request.method, path: `${basePath}${path}`, body }),
      },
      ...(body === '' ? {} : { body }),
    };
    const got = await exchange(`${base}${path}`, init, timeoutMs);
    if ('unknown' in got) return { answer: 'unknown', reason: got.unknown };
    const echo = entry.echo && { at: entry.echo.at, is: fill(entry.echo.is, filling, (one) => one) };
    return meaningOf(entry.answers, echo, { ...got, asked });
  }

  return { name: entry.name, give: (ask) => put('give', ask), query: (ask) => put('query', ask) };
}

const headersOf = (request: RequestDraft, filling: Filling): Record<string, string> => ({
  accept: 'application/json',
  ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
  ...Object.fromEntries(
    Object.entries(request.headers ?? {}).map(([name, value]) => [name, fillHeader(value, filling)]),
  ),
});
