import { HongbaoProblem } from './problem.ts';
import { type Timers, within } from './timers.ts';

export interface SessionKeeperOptions {
  readonly fetch: () => Promise<string>;
  /** Undefined: the first session's claims decide. */
  readonly person: string | undefined;
  readonly nowMs: () => number;
  readonly timers: Timers;
  readonly answerWithinMs: number;
}

export interface SessionKeeper {
  /** A session that is good for a while yet, from the app's backend where the kept one is not. */
  get(): Promise<string>;
  /** The server won't have this one any more: the next `get` fetches. */
  drop(session: string): void;
  /** Who this client is of; fetches a session where nobody has said it yet. */
  person(): Promise<string>;
}

/** A session that ends sooner than this is not worth beginning with. */
const GOOD_FOR_MS = 30_000;

interface Claims {
  readonly iss?: unknown;
  readonly sub?: unknown;
  readonly exp?: unknown;
}

/** A JWT's claims, unverified: they only choose a drawer and a moment on this phone. Undefined for anything else. */
function claimsOf(session: string): Claims | undefined {
  try {
    const body = session.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === 'object' && claims !== null ? claims : undefined;
  } catch {
    return undefined;
  }
}

/** App and user of a session, as one text; undefined when it names none. */
export function personOf(session: string): string | undefined {
  const { iss, sub } = claimsOf(session) ?? {};
  return typeof iss === 'string' && typeof sub === 'string' ? JSON.stringify([iss, sub]) : undefined;
}

/**
 * Keeps one session until shortly before it ends. A client is of one person: a session of somebody else (another
 * account in the same app) is refused, or one person's tokens would be shown under another one's name.
 */
export function createSessionKeeper(options: SessionKeeperOptions): SessionKeeper {
  let kept: string | undefined;
  let fetching: Promise<string> | undefined;
  let firstPerson: string | undefined;

  function admit(session: unknown): string {
    if (typeof session !== 'string' || session === '')
      throw new HongbaoProblem('session-unavailable', 'The app gave no session', true);
    if (options.person !== undefined) return session;
    const person = personOf(session);
    if (person === undefined)
      throw new HongbaoProblem('session-invalid', 'The session names no app and user', false);
    firstPerson ??= person;
    if (person !== firstPerson)
      throw new HongbaoProblem(
        'person-changed',
        'The session is of another person: make a new client',
        false,
      );
    return session;
  }

  async function fetchOne(): Promise<string> {
    let session: string;
    try {
      session = await within(options.timers, options.answerWithinMs, options.fetch());
    } catch {
      throw new HongbaoProblem('session-unavailable', 'The app gave no session', true);
    }
    kept = admit(session);
    return kept;
  }

  function isGood(session: string): boolean {
    const exp = claimsOf(session)?.exp;
    return typeof exp === 'number' && exp * 1_000 - GOOD_FOR_MS > options.nowMs();
  }

  const get = async (): Promise<string> => {
    if (kept !== undefined && isGood(kept)) return kept;
    fetching ??= fetchOne().finally(() => {
      fetching = undefined;
    });
    return fetching;
  };

  return {
    get,
    drop(session) {
      if (kept === session) kept = undefined;
    },
    async person() {
      if (options.person !== undefined) return options.person;
      if (firstPerson === undefined) await get();
      return firstPerson!;
    },
  };
}
