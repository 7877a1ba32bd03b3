import type { JsonWebKey } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

/** `active` seals and verifies, `verify-only` is the one before, `revoked` only tells what it once was. */
export type SealKeyState = 'active' | 'verify-only' | 'revoked';

export interface StoredKey {
  readonly keyId: number;
  readonly state: SealKeyState;
  readonly createdAtMs: number;
  /** base64url of 32 bytes. */
  readonly encryption: string;
  /** The private half (RFC 8037). */
  readonly signing: JsonWebKey;
}

export const SECRET_NAMES = [
  'ticket',
  'claim',
  'identity',
  'demoSession',
  'announcement',
  'internal',
] as const;
/** Not in rings of before they were needed; made when such a ring is opened. */
export const LATER_SECRETS: readonly SecretName[] = ['announcement', 'internal'];
export type SecretName = (typeof SECRET_NAMES)[number];

/** docs/formats.md, "Keys". */
export interface StoredRing {
  readonly keys: readonly StoredKey[];
  readonly secrets: Readonly<Record<SecretName, string>>;
}

export const keyringFile = (folder: string): string => path.join(folder, 'keyring.json');

/** Undefined when there is no file. Throws when it is none of ours; a ring is never made over one that is there. */
export function readRing(file: string): StoredRing | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const ring = parse(text);
  const problem = ring ? problemOf(ring) : 'it is not JSON of that shape';
  if (!ring || problem) {
    throw new Error(
      `The keyring ${file} can't be used: ${problem}. Without it no token can be read; bring it back from a copy. ` +
        'Nothing was changed.',
    );
  }
  keepPrivate(file);
  return ring;
}

/** Copies and restores tend to lose the mode. A mounted secret can't be changed, and is its mounter's to keep. */
function keepPrivate(file: string): void {
  if ((statSync(file).mode & 0o077) === 0) return;
  try {
    chmodSync(file, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EROFS') throw error;
  }
}

/** Replaces the file at once, whole and durable: a token whose key is lost can never be read again. */
export function writeRing(file: string, ring: StoredRing): void {
  putInPlace(file, ring, renameSync);
}

/** As writeRing, but only when there is none: false when another process that shares the folder was first. */
export function writeFirstRing(file: string, ring: StoredRing): boolean {
  try {
    putInPlace(file, ring, linkSync);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

function putInPlace(file: string, ring: StoredRing, put: (from: string, to: string) => void): void {
  const next = `${file}.${process.pid}.next`;
  writeFileSync(next, `${JSON.stringify(ring, undefined, 2)}\n`, { mode: 0o600, flush: true });
  chmodSync(next, 0o600);
  try {
    put(next, file);
  } finally {
    rmSync(next, { force: true });
  }
  const folder = openSync(path.dirname(file), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

function parse(text: string): StoredRing | undefined {
  try {
    const ring = JSON.parse(text) as Partial<StoredRing> | null;
    return Array.isArray(ring?.keys) && typeof ring.secrets === 'object' ? (ring as StoredRing) : undefined;
  } catch {
    return undefined;
  }
}

const is32Bytes = (text: unknown): boolean =>
  typeof text === 'string' && Buffer.from(text, 'base64url').length === 32;

const isYetToCome = (ring: StoredRing, name: SecretName): boolean =>
  LATER_SECRETS.includes(name) && ring.secrets[name] === undefined;

function problemOf(ring: StoredRing): string | undefined {
  const ids = ring.keys.map((key) => key.keyId);
  if (!ids.every((id) => Number.isInteger(id) && id > 0 && id <= 0xffff_ffff))
    return 'a key has no proper id';
  if (new Set(ids).size !== ids.length) return 'two keys have one id';
  if (ring.keys.filter((key) => key.state === 'active').length !== 1) return 'not exactly one key is active';
  if (!ring.keys.every((key) => ['active', 'verify-only', 'revoked'].includes(key.state)))
    return 'a key has no known state';
  if (!ring.keys.every((key) => is32Bytes(key.encryption))) return 'an encryption key has no 32 bytes';
  if (!ring.keys.every((key) => key.signing?.crv === 'Ed25519' && is32Bytes(key.signing.d)))
    return 'a signing key is not Ed25519';
  if (!SECRET_NAMES.every((name) => is32Bytes(ring.secrets[name]) || isYetToCome(ring, name)))
    return 'a secret has no 32 bytes';
  return undefined;
}
