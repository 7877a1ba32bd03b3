import { createHash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';

/** Secrets that we hand out: 32 random bytes with a name in front, so that a leaked one is recognised. Stored as hashes. */
export const newSecret = (prefix: 'hbu' | 'hbo' | 'hbs'): string =>
  `${prefix}_${randomBytes(32).toString('base64url')}`;

export const secretHash = (secret: string): Buffer => createHash('sha256').update(secret).digest();

export const bearerOf = (authorization: string | undefined): string | undefined => {
  const match = /^Bearer +([\x21-\x7e]{1,4096})$/i.exec(authorization ?? '');
  return match?.[1];
};

/** Looks credentials up by the hash of their secret, and remembers for a while; a wrong one costs one look-up. */
export function createCredentialCheck<Credential extends object>(
  find: (hash: Uint8Array) => Promise<Credential | undefined>,
  rememberMs: number,
): (secret: string | undefined) => Promise<Credential | undefined> {
  const known = new LRUCache<string, { readonly credential: Credential | undefined }>({
    max: 10_000,
    ttl: rememberMs,
  });
  return async (secret) => {
    if (secret === undefined) return undefined;
    const hash = secretHash(secret);
    const name = hash.toString('base64url');
    const remembered = known.get(name);
    if (remembered) return remembered.credential;
    const credential = await find(hash);
    known.set(name, { credential });
    return credential;
  };
}
