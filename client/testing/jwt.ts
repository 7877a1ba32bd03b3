import { toBase64Url } from '../base64url.ts';

const part = (value: unknown): string => toBase64Url(new TextEncoder().encode(JSON.stringify(value)));

/** Looks like a session; signed by nobody. */
export const unsignedJwt = (claims: Readonly<Record<string, unknown>>): string =>
  `${part({ alg: 'none' })}.${part(claims)}.${part('signature')}`;
