import { createCipheriv, randomBytes, sign } from 'node:crypto';
import type { BatchSeal, MicroBatch } from '../../engines/ports.ts';
import { encodeReadableToken, encodeSealedToken } from '../../protocol/token-codec.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { SealKey } from './keyring.ts';
import { buildTree, HASH_BYTES, leafHash, pathOf } from './merkle.ts';

export const TAG_BYTES = 16;
export const NONCE_BYTES = 12;
const SEAL_CONTEXT = Buffer.from('hongbao.seal.v1\0');
const TOKEN_CONTEXT = 'hongbao.token.v1\0';

/** Additional data of a token's encryption: what it is, and under which key. */
export function tokenContext(keyId: number): Buffer {
  const aad = Buffer.alloc(TOKEN_CONTEXT.length + 4);
  aad.write(TOKEN_CONTEXT, 'latin1');
  aad.writeUInt32BE(keyId, TOKEN_CONTEXT.length);
  return aad;
}

/** What is signed: context, key id, tree size and root, so that no root can stand for another tree. */
export function treeHead(keyId: number, treeSize: number, root: Uint8Array): Buffer {
  const head = Buffer.allocUnsafe(SEAL_CONTEXT.length + 8 + HASH_BYTES);
  head.set(SEAL_CONTEXT, 0);
  head.writeUInt32BE(keyId, SEAL_CONTEXT.length);
  head.writeUInt32BE(treeSize, SEAL_CONTEXT.length + 4);
  head.set(root, SEAL_CONTEXT.length + 8);
  return head;
}

/** A token's nonce: the batch's 8 bytes, then its place. */
export function nonceOf(batchNonce: Uint8Array, leafIndex: number): Buffer {
  const nonce = Buffer.allocUnsafe(NONCE_BYTES);
  nonce.set(batchNonce, 0);
  nonce.writeUInt32BE(leafIndex, 8);
  return nonce;
}

export interface SealedBatch {
  /** For the log. */
  readonly batch: MicroBatch;
  /** One SealedToken per order, ready for the phone. */
  readonly sealedTokens: readonly Buffer[];
}

let batchesNonce = randomBytes(8).readBigUInt64BE();

/**
 * 8 bytes that no other batch of this process has, counted up from a random start. Random ones would meet after some
 * 2^32 batches, and are too likely to long before (2^27 batches, a busy night: 1 in 2,000); GCM forgives no repeat.
 */
function nextBatchNonce(): Buffer {
  batchesNonce = BigInt.asUintN(64, batchesNonce + 1n);
  const nonce = Buffer.allocUnsafe(8);
  nonce.writeBigUInt64BE(batchesNonce);
  return nonce;
}

/**
 * Encrypts each order and signs them all at once: one Ed25519 signature holds the whole micro-batch. Throws a
 * RangeError for an order that can't be read back.
 */
export function sealBatch(orders: readonly Order[], key: SealKey): SealedBatch {
  const batchNonce = nextBatchNonce();
  const context = tokenContext(key.keyId);
  const tokens = orders.map(encodeReadableToken);
  const ciphertexts = tokens.map((token, at) => encrypt(token, key, nonceOf(batchNonce, at), context));
  const levels = treeOf(batchNonce, ciphertexts);
  const signature = sign(null, treeHead(key.keyId, orders.length, levels.at(-1)![0]!), key.signing);
  const seal: BatchSeal = { keyId: key.keyId, nonce: batchNonce, ciphertexts, signature };
  return {
    batch: { orders, tokens, seal },
    sealedTokens: orders.map((_, at) => tokenOf(seal, levels, at)),
  };
}

/** The SealedToken of one place in a sealed batch: the same bytes each time. */
export const sealedTokenOf = (seal: BatchSeal, leafIndex: number): Buffer =>
  tokenOf(seal, treeOf(seal.nonce, seal.ciphertexts), leafIndex);

const treeOf = (batchNonce: Uint8Array, ciphertexts: readonly Uint8Array[]): Buffer[][] =>
  buildTree(ciphertexts.map((ciphertext, at) => leafHash(nonceOf(batchNonce, at), ciphertext)));

const tokenOf = (seal: BatchSeal, levels: readonly (readonly Buffer[])[], leafIndex: number): Buffer =>
  encodeSealedToken({
    keyId: seal.keyId,
    nonce: nonceOf(seal.nonce, leafIndex),
    ciphertext: seal.ciphertexts[leafIndex]!,
    leafIndex,
    treeSize: seal.ciphertexts.length,
    path: pathOf(levels, leafIndex),
    signature: seal.signature,
  });

function encrypt(plain: Buffer, key: SealKey, nonce: Buffer, context: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key.encryption, nonce);
  cipher.setAAD(context);
  const body = cipher.update(plain);
  cipher.final();
  const sealed = Buffer.allocUnsafe(body.length + TAG_BYTES);
  sealed.set(body, 0);
  sealed.set(cipher.getAuthTag(), body.length);
  return sealed;
}
