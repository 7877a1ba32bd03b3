import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Clock } from '../../vocabulary/instant.ts';

/** `active` seals and verifies, `verify-only` is the one before, `revoked` only tells what it once was. */
export type SealKeyState = 'active' | 'verify-only' | 'revoked';

export interface SealKey {
  readonly keyId: number;
  readonly state: SealKeyState;
  readonly createdAtMs: number;
  /** AES-256. */
  readonly encryption: KeyObject;
  /** Ed25519; the public half is derived from it, never read from anywhere (a small-order key can't slip in). */
  readonly signing: KeyObject;
  readonly verifying: KeyObject;
}

/** 32 random bytes each, made with the ring and kept for its life. */
export interface RingSecrets {
  readonly ticket: Buffer;
  readonly claim: Buffer;
  readonly identity: Buffer;
  readonly demoSession: Buffer;
}

export interface Keyring {
  active(): SealKey;
  /** A key that may verify now; undefined for unknown and revoked ones. */
  verifying(keyId: number): SealKey | undefined;
  readonly secrets: RingSecrets;
  /** Makes a new active key. The one before still verifies; the one before that is revoked. */
  rotate(): SealKey;
  /** The public keys that verify, as a JWK set (RFC 7517). */
  jwks(): { keys: JsonWebKey[] };
}

interface StoredKey {
  keyId: number;
  state: SealKeyState;
  createdAtMs: number;
  encryption: string;
  signing: JsonWebKey;
}
interface StoredRing {
  keys: StoredKey[];
  secrets: Record<keyof RingSecrets, string>;
}

const FILE = 'keyring.json';

/** Opens the keyring of a data folder, or makes it at the first start. The file is readable by its owner only. */
export function openKeyring(folder: string, clock: Clock): Keyring {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, FILE);
  let ring: StoredRing = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as StoredRing)
    : newRing(clock);
  let keys = ring.keys.map(loadKey);
  if (!existsSync(file)) store(file, ring);
  const secret = (name: keyof RingSecrets) => Buffer.from(ring.secrets[name], 'base64url');

  return {
    active: () => keys.find((key) => key.state === 'active')!,
    verifying: (keyId) => keys.find((key) => key.keyId === keyId && key.state !== 'revoked'),
    secrets: {
      ticket: secret('ticket'),
      claim: secret('claim'),
      identity: secret('identity'),
      demoSession: secret('demoSession'),
    },
    rotate() {
      const older: Record<SealKeyState, SealKeyState> = {
        active: 'verify-only',
        'verify-only': 'revoked',
        revoked: 'revoked',
      };
      const keyId = Math.max(...ring.keys.map((key) => key.keyId)) + 1;
      const next = {
        ...ring,
        keys: [...ring.keys.map((key) => ({ ...key, state: older[key.state] })), newKey(keyId, clock)],
      };
      store(file, next);
      ring = next;
      keys = ring.keys.map(loadKey);
      return keys.at(-1)!;
    },
    jwks: () => ({
      keys: keys
        .filter((key) => key.state !== 'revoked')
        .map((key) => ({
          ...key.verifying.export({ format: 'jwk' }),
          kid: String(key.keyId),
          alg: 'EdDSA',
          use: 'sig',
        })),
    }),
  };
}

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
  const secret = () => randomBytes(32).toString('base64url');
  return {
    keys: [newKey(1, clock)],
    secrets: { ticket: secret(), claim: secret(), identity: secret(), demoSession: secret() },
  };
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

function store(file: string, ring: StoredRing): void {
  const next = `${file}.next`;
  writeFileSync(next, JSON.stringify(ring, undefined, 2), { mode: 0o600 });
  chmodSync(next, 0o600);
  renameSync(next, file);
}
