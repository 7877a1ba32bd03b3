import { createHash, createHmac } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, importJWK, type JWK, jwtVerify } from 'jose';
import { isRefusal, type Refusal, RetryableFault, refuse } from '../protocol/failures.ts';
import { type PhoneNumber, parsePhone } from '../rules/phone.ts';
import type { ActId, AppId } from '../vocabulary/ids.ts';
import type { Clock } from '../vocabulary/instant.ts';
import type { Identities, Player } from './player.ts';
import { recent } from './recent.ts';

export const SESSION_ALGORITHMS = ['EdDSA', 'HS256'] as const;

/** One app's session key: the only one, and under one algorithm only, that its sessions are taken with. */
export interface SessionKey {
  readonly appId: AppId;
  /** The `iss` of its sessions. */
  readonly name: string;
  readonly alg: (typeof SESSION_ALGORITHMS)[number];
  readonly key: JWK;
  readonly audience: string;
}

export interface Session extends Player {
  readonly expiresAtMs: number;
  /** The id that this user of this app was given first; who that is may change by a join. */
  readonly given: ActId;
  /** `Identities.changes()` when the person was looked up. */
  readonly asOf: number;
}

export interface Sessions {
  /** Who a session is. Refuses with session-missing, session-invalid, session-expired or control-unavailable. */
  authenticate(jwt: string | undefined): Promise<Session | Refusal>;
  /** The same session, with the person whom a join has made of it meanwhile, as far as this process knows: for connections. */
  current(session: Session): Session;
}

export interface SessionsOptions {
  readonly keys: readonly SessionKey[];
  readonly clock: Clock;
  readonly identities: Identities;
}

const JWT_CHARACTERS_MAX = 2_048;
const COMPACT_JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const LIFETIME_S_MAX = 24 * 3_600;
const TOLERANCE_S = 30;
const CACHED_SESSIONS = 200_000;

/** Anything visible in any script; no control characters, no lone surrogates. */
export const isUserName = (user: unknown): user is string =>
  typeof user === 'string' && user.length >= 1 && user.length <= 128 && !/[\p{Cc}\p{Cs}]/u.test(user);

/** A person of an app as a keyed hash: all that is stored of a name. */
export const userKeyOf = (identityKey: Buffer, appId: AppId, user: string): Buffer =>
  createHmac('sha256', identityKey).update(`${appId}\0${user}`).digest();

/** Checks sessions once and remembers the answer until they expire, so that a reconnect costs a hash. */
export function createSessions(options: SessionsOptions): Sessions {
  const keyOf = new Map(
    options.keys.map((key) => [key.name, { ...key, imported: importJWK(key.key, key.alg) }]),
  );
  const sessions = recent<string, Session>(CACHED_SESSIONS);
  const { identities } = options;

  async function verify(jwt: string): Promise<Session | Refusal> {
    const claimed = issuerOf(jwt);
    const key = claimed === undefined ? undefined : keyOf.get(claimed);
    if (!key) return refuse('session-invalid', 'the session names no app that is configured');
    let payload: Awaited<ReturnType<typeof jwtVerify>>['payload'];
    try {
      ({ payload } = await jwtVerify(jwt, await key.imported, {
        algorithms: [key.alg],
        audience: key.audience,
        issuer: key.name,
        clockTolerance: TOLERANCE_S,
        requiredClaims: ['exp', 'sub'],
        currentDate: new Date(options.clock.now()),
      }));
    } catch (error) {
      return (error as { code?: string }).code === 'ERR_JWT_EXPIRED'
        ? refuse('session-expired', 'ask the app’s backend for a new session')
        : refuse('session-invalid', 'signature, audience, issuer or claims do not hold');
    }
    const expiresAtMs = payload.exp! * 1_000;
    if (expiresAtMs > options.clock.now() + (LIFETIME_S_MAX + TOLERANCE_S) * 1_000)
      return refuse('session-invalid', 'a session lives for 24 hours at most');
    if (!isUserName(payload.sub))
      return refuse('session-invalid', 'sub is a user of 1 to 128 visible characters');
    const phone = phoneOf(payload);
    if (phone === MALFORMED)
      return refuse(
        'session-invalid',
        'phone_number has a plus sign, a country code and 7 to 15 digits (E.164)',
      );
    try {
      const given = await identities.find(key.appId, payload.sub, phone);
      const asOf = identities.changes();
      const person = await identities.person(given);
      return { appId: key.appId, ...person, expiresAtMs, given, asOf };
    } catch (error) {
      // The database's own words may hold what was asked of it; they are for nobody here.
      if (!(error instanceof RetryableFault)) throw error;
      return refuse(
        'control-unavailable',
        'this person is new here, and identities can’t be given right now',
      );
    }
  }

  /** A session that was looked up before a join shows the person of after it, from memory or at its next use. */
  function current(session: Session): Session {
    const asOf = identities.changes();
    if (session.asOf === asOf) return session;
    const person = identities.remembered(session.given);
    // Known once, so only many others can have driven it out of memory: asked for beside what goes on, once a change.
    if (!person) void identities.person(session.given).catch(() => {});
    return { ...session, ...person, asOf };
  }

  return {
    current,
    async authenticate(jwt) {
      if (!jwt) return refuse('session-missing', 'send Authorization: Bearer <session>');
      if (jwt.length > JWT_CHARACTERS_MAX || !COMPACT_JWT.test(jwt))
        return refuse('session-invalid', 'not a compact JWT');
      const name = createHash('sha256').update(jwt).digest('base64url');
      const known = sessions.get(name);
      if (known && known.expiresAtMs > options.clock.now()) {
        const session = current(known);
        if (session !== known) sessions.set(name, session);
        return session;
      }
      const session = await verify(jwt);
      if (!isRefusal(session)) sessions.set(name, session);
      return session;
    },
  };
}

/** The issuer that a token claims, unverified: it only chooses the key. */
function issuerOf(jwt: string): string | undefined {
  try {
    decodeProtectedHeader(jwt);
    const { iss } = decodeJwt(jwt);
    return typeof iss === 'string' ? iss : undefined;
  } catch {
    return undefined;
  }
}

const MALFORMED = Symbol('malformed');

/** OpenID Connect's standard claims: a number that the app says is not verified binds nobody. */
function phoneOf(claims: Readonly<Record<string, unknown>>): PhoneNumber | undefined | typeof MALFORMED {
  const { phone_number, phone_number_verified } = claims;
  if (phone_number === undefined || phone_number_verified === false) return undefined;
  return parsePhone(phone_number) ?? MALFORMED;
}
