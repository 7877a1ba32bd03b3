import { createHmac, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';

/** What an embedding app has: a key that the engine knows, and players that it vouches for. */
export interface App {
  readonly keysFile: string;
  /** A session for a user, good for an hour. */
  sessionOf(user: string): string;
}

const HOUR_S = 3_600;

/** Makes an app with a key of its own and writes HONGBAO_SESSION_KEYS_FILE for it. */
export function makeApp(keysFile: string, name: string): App {
  const secret = randomBytes(32);
  const key = { kty: 'oct', k: secret.toString('base64url') };
  writeFileSync(keysFile, JSON.stringify([{ appId: 1, name, alg: 'HS256', key }]), { mode: 0o600 });
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return {
    keysFile,
    sessionOf(user) {
      const nowS = Math.floor(Date.now() / 1_000);
      const claims = { iss: name, aud: 'hongbao', sub: user, iat: nowS, exp: nowS + HOUR_S };
      const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
      return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
    },
  };
}
