import { type BackOffOptions, backOffMs } from './back-off.ts';
import {
  type ClientBody,
  type Link,
  openLink,
  type ReturnHint,
  type ServerBody,
  type SocketConstructor,
} from './link.ts';
import { HongbaoProblem } from './problem.ts';
import type { SessionKeeper } from './session-keeper.ts';
import type { Throttle } from './shake-coalescer.ts';
import { type Timers, within } from './timers.ts';

export type ConnectionState =
  | 'connecting'
  | 'open'
  /** Lost; it comes back by itself after a while. */
  | 'waiting'
  /** The server won't have us (session, campaign): nothing is tried before somebody asks for something. */
  | 'refused'
  | 'closed';

export interface ConnectionOptions {
  readonly url: string;
  readonly campaignId: string;
  readonly sessions: SessionKeeper;
  readonly socket: SocketConstructor;
  readonly random: () => number;
  readonly timers: Timers;
  readonly answerWithinMs: number;
  readonly onState: (state: ConnectionState) => void;
  readonly onThrottle: (throttle: Throttle) => void;
  readonly onServerTime: (serverTimeMs: number) => void;
}

export interface Connection {
  /** Resolves once the gateway has welcomed us; rejects when it refuses or can't be reached. */
  connect(): Promise<void>;
  /** While the connection is lost this waits for it as long as for an answer: a storm of phones stays spread out. */
  request(body: ClientBody): Promise<ServerBody>;
  close(): void;
}

/** A server that dies takes its phones with it: even the first return is spread over seconds. */
const RETURN: Omit<BackOffOptions, 'random'> = { firstMs: 3_000, maxMs: 60_000 };

/** Where everything fails at once (no network, no backend) even a lucky draw must not spin. */
const PAUSE_MS_MIN = 250;

interface Welcomed {
  readonly link: Link;
  readonly session: string;
}
interface Attempt {
  readonly welcomed: Promise<Welcomed>;
  link?: Link;
}

/** One WebSocket to the gateway that comes back by itself, spread out in time. */
export function createConnection(options: ConnectionOptions): Connection {
  const { timers, answerWithinMs, sessions } = options;
  /** From connect to close: whatever belongs to an earlier life ends by itself. */
  let life = new AbortController();
  /** Waiting, dialling, or (with its link) welcomed; undefined when nothing is to happen by itself. */
  let current: Attempt | undefined;
  let failures = 0;
  let state: ConnectionState | undefined;

  const say = (next: ConnectionState): void => {
    if (next === state) return;
    state = next;
    options.onState(next);
  };

  /** Resolves after the pause; rejects at once when the client is closed. */
  const pause = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const abort = () => {
        calledOff();
        reject(closed());
      };
      const calledOff = timers.after(ms, () => {
        signal.removeEventListener('abort', abort);
        resolve();
      });
      signal.addEventListener('abort', abort);
    });

  function dial(afterMs: number): Promise<Welcomed> {
    const { signal } = life;
    const attempt: Attempt = { welcomed: reach(afterMs, signal) };
    current = attempt;
    attempt.welcomed.then(
      async ({ link }) => {
        attempt.link = link;
        const hint = await link.ended;
        if (current === attempt && !signal.aborted) comeBack(hint);
      },
      (error: unknown) => {
        if (current !== attempt || signal.aborted) return;
        if (isWorthAnotherTry(error)) return comeBack(undefined);
        current = undefined;
        say('refused');
      },
    );
    return attempt.welcomed;
  }

  function comeBack(hint: ReturnHint | undefined): void {
    const pauseMs = hint
      ? hint.afterMs + options.random() * hint.jitterMs
      : backOffMs(failures, { ...RETURN, random: options.random });
    failures += 1;
    say('waiting');
    dial(Math.max(PAUSE_MS_MIN, pauseMs)).catch(() => {});
  }

  async function reach(afterMs: number, signal: AbortSignal): Promise<Welcomed> {
    if (afterMs > 0) await pause(afterMs, signal);
    say('connecting');
    const session = await sessions.get();
    try {
      return await greet(session, signal);
    } catch (error) {
      if (!isExpired(error)) throw error;
      sessions.drop(session);
      const fresh = await sessions.get();
      if (fresh === session) throw error;
      return await greet(fresh, signal);
    }
  }

  async function greet(session: string, signal: AbortSignal): Promise<Welcomed> {
    if (signal.aborted) throw closed();
    const link = openLink({ ...options });
    const end = () => link.end();
    signal.addEventListener('abort', end);
    void link.ended.then(() => signal.removeEventListener('abort', end));
    try {
      await link.opened;
      const answer = await link.ask({
        case: 'hello',
        value: { $typeName: 'hongbao.v1.Hello', session, campaignId: options.campaignId },
      });
      if (answer.case !== 'welcome') throw new HongbaoProblem('unknown', 'An answer of another kind', true);
      options.onServerTime(Number(answer.value.serverTimeMs));
    } catch (error) {
      link.end();
      throw signal.aborted ? closed() : error;
    }
    failures = 0;
    say('open');
    return { link, session };
  }

  const connected = (): Promise<Welcomed> => current?.welcomed ?? dial(0);

  return {
    async connect() {
      await connected();
    },
    async request(body) {
      const first = await within(timers, answerWithinMs, connected(), lost);
      try {
        return await first.link.ask(body);
      } catch (error) {
        if (!isExpired(error)) throw error;
        // The session ended while the connection lived. Nothing was done: come back with a fresh one, and ask again.
        sessions.drop(first.session);
        if (current?.link === first.link) dial(0).catch(() => {});
        first.link.end();
        const second = await within(timers, answerWithinMs, connected(), lost);
        return await second.link.ask(body);
      }
    },
    close() {
      life.abort();
      life = new AbortController();
      current = undefined;
      failures = 0;
      say('closed');
    },
  };
}

const lost = (): HongbaoProblem => new HongbaoProblem('unreachable', 'No connection', true);
const closed = (): HongbaoProblem => new HongbaoProblem('closed', 'The client was closed', false);
const isExpired = (error: unknown): boolean =>
  error instanceof HongbaoProblem && error.code === 'session-expired';
const isWorthAnotherTry = (error: unknown): boolean => !(error instanceof HongbaoProblem) || error.retryable;
