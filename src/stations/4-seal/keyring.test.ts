import { createPrivateKey, createPublicKey, type JsonWebKey } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { instantMs } from '../../vocabulary/instant.ts';
import { openKeyring } from './keyring.ts';

const clock = { now: () => instantMs(1_800_000_000_000), monotonicMs: () => 0 };

interface Stored {
  keys: { keyId: number; state: string; encryption: string; signing: JsonWebKey }[];
  secrets: Record<string, string>;
}

describe('the keyring', () => {
  let folder: string;
  const file = () => path.join(folder, 'keyring.json');
  const stored = (): Stored => JSON.parse(readFileSync(file(), 'utf8'));
  const open = () => openKeyring(folder, clock);
  const states = () => stored().keys.map((key) => key.state);

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-keys-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is made at the first start, for its owner only, and is the same at the next', () => {
    const first = open();
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    chmodSync(file(), 0o644);
    const second = open();
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(second.secrets).toEqual(first.secrets);
    expect(new Set(Object.values(first.secrets).map((one) => one.toString('hex'))).size).toBe(6);
    expect(second.active().verifying.equals(first.active().verifying)).toBe(true);
  });

  it('has exactly two valid keys after a rotation, and keeps the older ones for what they once were', () => {
    const ring = open();
    ring.rotate();
    expect(states()).toEqual(['verify-only', 'active']);
    ring.rotate();
    expect(states()).toEqual(['revoked', 'verify-only', 'active']);
    expect([1, 2, 3, 4].map((keyId) => ring.verifying(keyId)?.keyId)).toEqual([undefined, 2, 3, undefined]);
    expect(ring.active().keyId).toBe(3);
    expect(ring.jwks().keys.map((key) => [key.kid, key.kty, key.crv, key.alg, key.d])).toEqual([
      ['2', 'OKP', 'Ed25519', 'EdDSA', undefined],
      ['3', 'OKP', 'Ed25519', 'EdDSA', undefined],
    ]);
  });

  it('learns of a rotation that somebody else made, when told and before it rotates itself', () => {
    const [one, other] = [open(), open()];
    other.rotate();
    expect(one.active().keyId).toBe(1);
    one.reload();
    expect(one.active().keyId).toBe(2);
    other.rotate();
    expect(one.rotate().keyId).toBe(4);
    expect(states()).toEqual(['revoked', 'revoked', 'verify-only', 'active']);
  });

  it('derives the public half, so that a weak one in the file changes nothing', () => {
    open();
    const identityPoint = Buffer.concat([Buffer.from([1]), Buffer.alloc(31)]).toString('base64url');
    const ring = stored();
    const { x } = ring.keys[0]!.signing;
    ring.keys[0]!.signing.x = identityPoint;
    writeFileSync(file(), JSON.stringify(ring));
    const jwk = open().active().verifying.export({ format: 'jwk' });
    expect(jwk.x).toBe(x);
    expect(
      createPublicKey(createPrivateKey({ key: ring.keys[0]!.signing, format: 'jwk' })).export({
        format: 'jwk',
      }).x,
    ).toBe(x);
  });

  const broken: Record<string, (ring: Stored) => unknown> = {
    'no JSON': () => 'half a fi',
    'an empty file': () => '',
    'no object': () => null,
    'no active key': (ring) => ({ ...ring, keys: [{ ...ring.keys[0]!, state: 'verify-only' }] }),
    'two active keys': (ring) => ({ ...ring, keys: [ring.keys[0], { ...ring.keys[0]!, keyId: 2 }] }),
    'two keys of one id': (ring) => ({
      ...ring,
      keys: [ring.keys[0], { ...ring.keys[0]!, state: 'revoked' }],
    }),
    'a state that is none': (ring) => ({
      ...ring,
      keys: [ring.keys[0], { ...ring.keys[0]!, keyId: 2, state: 'new' }],
    }),
    'key id zero': (ring) => ({ ...ring, keys: [{ ...ring.keys[0]!, keyId: 0 }] }),
    'a short encryption key': (ring) => ({ ...ring, keys: [{ ...ring.keys[0]!, encryption: 'AAAA' }] }),
    'another kind of signing key': (ring) => ({
      ...ring,
      keys: [{ ...ring.keys[0]!, signing: { ...ring.keys[0]!.signing, crv: 'X25519' } }],
    }),
    'a missing secret': (ring) => ({ ...ring, secrets: { ...ring.secrets, claim: undefined } }),
  };
  it.each(Object.entries(broken))('refuses %s, says so, and changes nothing', (_, spoil) => {
    open();
    const spoiled = spoil(stored());
    const text = typeof spoiled === 'string' ? spoiled : JSON.stringify(spoiled);
    writeFileSync(file(), text);
    expect(open).toThrow(/keyring.*can't be used/);
    expect(readFileSync(file(), 'utf8')).toBe(text);
  });

  it('goes on with the keys it has when a reload finds the file broken', () => {
    const ring = open();
    writeFileSync(file(), '{');
    expect(() => ring.reload()).toThrow("can't be used");
    expect(() => ring.rotate()).toThrow("can't be used");
    expect(ring.active().keyId).toBe(1);
  });
});
