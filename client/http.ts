import { HongbaoProblem, problemOfResponse } from './problem.ts';
import type { SessionKeeper } from './session-keeper.ts';
import { type Timers, within } from './timers.ts';

export interface HttpOptions {
  /** Of the campaign: …/v1/campaigns/ID */
  readonly route: string;
  readonly fetch: typeof fetch;
  readonly sessions: SessionKeeper;
  readonly timers: Timers;
  readonly answerWithinMs: number;
}

export interface AskOptions {
  readonly method?: 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** One request under the campaign's route; `has` are members without which an answer is none. */
export type Ask = <Answer>(
  path: string,
  has: readonly (keyof Answer)[],
  options?: AskOptions,
) => Promise<Answer>;

const TRIES_MAX = 2;

/**
 * HTTP with an end: an answer in time, or a problem. Only a refused session is tried again here (with a fresh one:
 * nothing was done under the old); whatever else failed is the caller's to repeat.
 */
export function createAsk(options: HttpOptions): Ask {
  async function once(path: string, session: string, ask: AskOptions): Promise<unknown> {
    const control = new AbortController();
    const exchange = async (): Promise<{ status: number; ok: boolean; body: unknown }> => {
      const response = await options.fetch(`${options.route}${path}`, {
        method: ask.method ?? 'GET',
        headers: {
          authorization: `Bearer ${session}`,
          ...(ask.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...ask.headers,
        },
        ...(ask.body === undefined ? {} : { body: JSON.stringify(ask.body) }),
        signal: control.signal,
      });
      // A body that breaks off is a lost answer; one that is not JSON is somebody else's (a hotel's login page).
      const text = await response.text();
      return { status: response.status, ok: response.ok, body: parsed(text) };
    };
    let answer: Awaited<ReturnType<typeof exchange>>;
    try {
      answer = await within(options.timers, options.answerWithinMs, exchange());
    } catch (error) {
      control.abort();
      throw error instanceof HongbaoProblem
        ? error
        : new HongbaoProblem('unreachable', 'No connection', true);
    }
    if (answer.ok) return answer.body;
    throw problemOfResponse(answer.status, answer.body);
  }

  return async <Answer>(
    path: string,
    has: readonly (keyof Answer)[],
    ask: AskOptions = {},
  ): Promise<Answer> => {
    let session = await options.sessions.get();
    for (let tries = 1; ; tries += 1) {
      try {
        const body = await once(path, session, ask);
        if (isAnswer<Answer>(body, has)) return body;
        throw new HongbaoProblem('unknown', 'An answer of another kind', true);
      } catch (error) {
        if (!(error instanceof HongbaoProblem) || error.code !== 'session-expired' || tries >= TRIES_MAX)
          throw error;
        options.sessions.drop(session);
        const fresh = await options.sessions.get();
        if (fresh === session) throw error;
        session = fresh;
      }
    }
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isAnswer = <Answer>(body: unknown, has: readonly (keyof Answer)[]): body is Answer =>
  typeof body === 'object' && body !== null && has.every((name) => name in body);
