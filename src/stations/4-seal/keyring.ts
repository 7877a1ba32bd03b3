import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { mkdirSync } from 'node:fs';
import type { Clock } from '../../vocabulary/instant.ts';
import {
  keyringFile,
  LATER_SECRETS,
  readRing,
  SECRET_NAMES,
  type SealKeyState,
  type SecretName,
  type StoredKey,
  type StoredRing,
  writeFirstRing,
  writeRing,
} from './keyring-file.ts';

export interface SealKey {
  readonly keyId: number;
  readonly state: SealKeyState;
  readonly createdAtMs: number;
  /** AES-256. */
  readonly encryption: KeyObject;
  /** Ed25519. */
  readonly signing: KeyObject;
  /** Derived from the private half, never read from anywhere, so that a small-order key can't slip in. */
  readonly verifying: KeyObject;
}

/** 32 random bytes each, made with the ring and kept for its life. */
export type RingSecrets = Readonly<Record<SecretName, Buffer>>;

export interface Keyring {
  active(): SealKey;
  /** A key that may verify now; undefined for unknown and revoked ones. */
  verifying(keyId: number): SealKey | undefined;
  readonly secrets: RingSecrets;
  /** Makes a new active key. The one before still verifies; the one before that is revoked. */
  rotate(): SealKey;
  /** Reads the file again, after somebody else rotated. Throws and keeps the old keys when it can't be used. */
  reload(): void;
  /** The public keys that verify, as a JWK set (RFC 7517). */
  jwks(): { keys: JsonWebKey[] };
}

const AGED: Record<SealKeyState, SealKeyState> = {
  active: 'verify-only',
  'verify-only': 'revoked',
  revoked: 'revoked',
};

/** Opens the keyring of a data folder, or makes it at the first start. The file is readable by its owner only. */
export function openKeyring(folder: string, clock: Clock): Keyring {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = keyringFile(folder);
  let ring = openRing(file, clock);
  let keys = ring.keys.map(loadKey);
  const secrets = Object.fromEntries(
    SECRET_NAMES.map((name) => [name, Buffer.from(ring.secrets[name], 'base64url')]),
  ) as unknown as RingSecrets;

  const take = (next: StoredRing): void => {
    keys = next.keys.map(loadKey);
    ring = next;
  };
  const reload = (): void => take(readRing(file) ?? ring);

  return {
    active: () => keys.find((key) => key.state === 'active')!,
    verifying: (keyId) => keys.find((key) => key.keyId === keyId && key.state !== 'revoked'),
    secrets,
    rotate() {
      // First what is on the disk: a key that somebody else made must not be overwritten.
      reload();
      const keyId = Math.max(...ring.keys.map((key) => key.keyId)) + 1;
      const aged = ring.keys.map((key) => ({ ...key, state: AGED[key.state] }));
      const next = { ...ring, keys: [...aged, newKey(keyId, clock)] };
      writeRing(file, next);
      take(next);
      return keys.at(-1)!;
    },
    reload,
    jwks: () => ({ keys: keys.filter((key) => key.state !== 'revoked').map(jwkOf) }),
  };
}

/** The ring that is there, with what it lacks; or a new one, unless another process on this folder was first. */
function openRing(file: string, clock: Clock): StoredRing {
  const fresh = newRing(clock);
  const found = readRing(file) ?? (writeFirstRing(file, fresh) ? fresh : readRing(file)!);
  const missing = LATER_SECRETS.filter((name) => found.secrets[name] === undefined);
  if (missing.length === 0) return found;
  const added = Object.fromEntries(missing.map((name) => [name, fresh.secrets[name]]));
  const whole = { ...found, secrets: { ...found.secrets, ...added } };
  writeRing(file, whole);
  return whole;
}

const jwkOf = (key: SealKey): JsonWebKey => ({
  ...key.verifying.export({ format: 'jwk' }),
  kid: String(key.keyId),
  alg: 'EdDSA',
  use: 'sig',
});

function newKey(keyId: number, clock: Clock): StoredKey {
  return {
    keyId,
    state: 'active',
    createdAtMs: clock.now(),
    encryption: randomBytes(32).toString('base64url'),
    signing: generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }),
  };
}

function newRing(clock: Clock): StoredRing {
  const secrets = SECRET_NAMES.map((name) => [name, randomBytes(32).toString('base64url')]);
  return { keys: [newKey(1, clock)], secrets: Object.fromEntries(secrets) as StoredRing['secrets'] };
}

function loadKey(stored: StoredKey): SealKey {
  const signing = createPrivateKey({ key: stored.signing, format: 'jwk' });
  return {
    keyId: stored.keyId,
    state: stored.state,
    createdAtMs: stored.createdAtMs,
    encryption: createSecretKey(Buffer.from(stored.encryption, 'base64url')),
    signing,
    verifying: createPublicKey(signing),
  };
}
