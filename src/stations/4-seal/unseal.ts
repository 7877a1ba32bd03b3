import { createDecipheriv, createHash, verify } from 'node:crypto';
import { recent } from '../../guard/recent.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import { decodeSealedToken, decodeToken, type SealedTokenFields } from '../../protocol/token-codec.ts';
import type { CampaignId, PhaseKey } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import { isOneOf, type Person } from '../../vocabulary/person.ts';
import type { Keyring, SealKey } from './keyring.ts';
import { leafHash, rootFrom } from './merkle.ts';
import { TAG_BYTES, tokenContext, treeHead } from './seal-batch.ts';

export interface UnsealExpectation {
  /** Whose it may be: tokens of an id that was joined to the person's are as good as its own. */
  readonly person: Person;
  readonly campaignId: CampaignId;
  readonly phaseKey: PhaseKey;
}

export interface Unsealer {
  /** The order in a token that this person shows, or why it is not taken. Never throws. */
  unseal(bytes: Uint8Array, expected: UnsealExpectation): Order | Refusal;
}

/** Signatures that held, so that the tokens of one micro-batch cost one verification (about 100 µs). */
const VERIFIED_HEADS_MAX = 10_000;

/**
 * Cheap checks come first: form, key, decryption (which only the holder of our key passes, 3 µs), whose it is; the
 * signature last. So junk can't be used to burn our processors.
 */
export function createUnsealer(keyring: Keyring): Unsealer {
  const verified = recent<string, true>(VERIFIED_HEADS_MAX);

  function signatureHolds(token: SealedTokenFields, key: SealKey): boolean {
    const root = rootFrom(
      leafHash(token.nonce, token.ciphertext),
      token.leafIndex,
      token.treeSize,
      token.path,
    );
    if (!root) return false;
    const head = treeHead(key.keyId, token.treeSize, root);
    const name = createHash('sha256').update(head).update(token.signature).digest('base64url');
    if (verified.has(name)) return true;
    if (!verify(null, head, key.verifying, token.signature)) return false;
    verified.set(name, true);
    return true;
  }

  return {
    unseal(bytes, expected) {
      const token = decodeSealedToken(bytes);
      if (!token) return refuse('token-malformed', 'not a sealed token');
      const key = keyring.verifying(token.keyId);
      if (!key) return refuse('token-key-unknown', `key ${token.keyId} is not valid`);
      if (Buffer.from(token.nonce).readUInt32BE(8) !== token.leafIndex) {
        return refuse('token-malformed', 'the nonce is of another place in the batch');
      }
      const order = decrypt(token, key);
      if (!order) return refuse('token-undecryptable', 'the ciphertext was altered');
      if (!isOneOf(expected.person, order.actId))
        return refuse('token-foreign', 'the token is of another person');
      if (order.campaignId !== expected.campaignId)
        return refuse('token-wrong-campaign', `the token is of ${order.campaignId}`);
      if (order.phaseKey !== expected.phaseKey)
        return refuse('token-wrong-phase', `the token is of phase ${order.phaseId}`);
      return signatureHolds(token, key)
        ? order
        : refuse('token-signature-invalid', 'the path or the signature does not hold');
    },
  };
}

function decrypt(token: SealedTokenFields, key: SealKey): Order | undefined {
  const body = token.ciphertext.subarray(0, token.ciphertext.length - TAG_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key.encryption, token.nonce);
  decipher.setAAD(tokenContext(key.keyId));
  decipher.setAuthTag(token.ciphertext.subarray(token.ciphertext.length - TAG_BYTES));
  try {
    const plain = decipher.update(body);
    decipher.final();
    return decodeToken(plain);
  } catch {
    return undefined;
  }
}
