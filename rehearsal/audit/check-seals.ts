import {
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  verify,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { SealedBatch } from './journal.ts';
import type { Findings } from './report.ts';

interface Key {
  readonly encryption: Buffer;
  readonly verifying: KeyObject;
}

const TAG_BYTES = 16;

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const sha256 = (...parts: Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

/**
 * Every seal opens to the order that stands beside it in the clear, under the signature of its key (docs/formats.md):
 * else a phone would hold a token that can't be shown. Returns how many seals were opened.
 */
export function checkSeals(batches: readonly SealedBatch[], keyFile: string, findings: Findings): number {
  const keys = readKeys(keyFile, findings);
  if (!keys) return 0;
  const nonces = new Set<string>();
  let opened = 0;
  for (const batch of batches) {
    const where = `record ${batch.sequence}`;
    const key = keys.get(batch.keyId);
    const nonce = `${batch.keyId}/${batch.nonce.toString('hex')}`;
    if (nonces.has(nonce)) findings.add('seal', 'a key has sealed twice under one nonce', where, nonce);
    nonces.add(nonce);
    if (!key) {
      findings.add('seal', 'a batch is sealed under a key that is not there', where, `key ${batch.keyId}`);
      continue;
    }
    if (!verify(null, headOf(batch), key.verifying, batch.signature))
      findings.add('seal', 'a batch has a wrong signature', where);
    for (const [leaf, ciphertext] of batch.ciphertexts.entries()) {
      const token = open(key, batch, leaf, ciphertext);
      if (!token) findings.add('seal', 'a token can’t be opened', `${where}, leaf ${leaf}`);
      else if (!token.equals(batch.tokens[leaf]!))
        findings.add('seal', 'a token is not of the order beside it', `${where}, leaf ${leaf}`);
      else opened += 1;
    }
  }
  return opened;
}

function readKeys(file: string, findings: Findings): Map<number, Key> | undefined {
  try {
    const { keys } = JSON.parse(readFileSync(file, 'utf8')) as {
      keys: { keyId: number; state: string; encryption: string; signing: JsonWebKey }[];
    };
    if (keys.filter((key) => key.state === 'active').length !== 1)
      findings.add('seal', 'not exactly one key is active', file);
    return new Map(
      keys.map(({ keyId, encryption, signing }) => [
        keyId,
        {
          encryption: Buffer.from(encryption, 'base64url'),
          verifying: createPublicKey(createPrivateKey({ key: signing, format: 'jwk' })),
        },
      ]),
    );
  } catch (error) {
    findings.add('seal', 'the keys can’t be read, so no seal can be opened', file, (error as Error).message);
    return undefined;
  }
}

const nonceOf = (batch: SealedBatch, leaf: number): Buffer => Buffer.concat([batch.nonce, u32(leaf)]);

/** What the signature is over. The tree: neighbours become a node, a last one without a neighbour moves up. */
function headOf(batch: SealedBatch): Buffer {
  let level = batch.ciphertexts.map((ciphertext, leaf) =>
    sha256(Buffer.of(0), nonceOf(batch, leaf), ciphertext),
  );
  while (level.length > 1) {
    const above: Buffer[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const right = level[at + 1];
      above.push(right ? sha256(Buffer.of(1), level[at]!, right) : level[at]!);
    }
    level = above;
  }
  return Buffer.concat([
    Buffer.from('hongbao.seal.v1\0', 'latin1'),
    u32(batch.keyId),
    u32(batch.ciphertexts.length),
    level[0]!,
  ]);
}

function open(key: Key, batch: SealedBatch, leaf: number, ciphertext: Buffer): Buffer | undefined {
  try {
    const options = { authTagLength: TAG_BYTES };
    const decipher = createDecipheriv('aes-256-gcm', key.encryption, nonceOf(batch, leaf), options);
    decipher.setAAD(Buffer.concat([Buffer.from('hongbao.token.v1\0', 'latin1'), u32(batch.keyId)]));
    decipher.setAuthTag(ciphertext.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(ciphertext.subarray(0, -TAG_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}
