import { decodeToken, type ReadableToken, TREE_SIZE_MAX } from '../../../protocol/token-codec.ts';
import type { SliceId } from '../../../vocabulary/ids.ts';
import type { Order, SliceUnit } from '../../../vocabulary/order.ts';
import type { LogRecord, LogSequence, MicroBatch } from '../../ports.ts';

/** docs/formats.md, "Journal": the bytes of one record, without its sequence. */
const KIND_GRANTS = 1;
const KIND_FENCE = 2;
const NONCE_BYTES = 8;
const SIGNATURE_BYTES = 64;
const GRANTS_HEAD_BYTES = 1 + 4 + 8 + 64 + 2;
const FENCE_BYTES = 1 + 8 + 4;

/** Throws a RangeError for what could not be read back. */
export function encodeGrants({ orders, tokens, seal }: MicroBatch): Buffer {
  const { nonce, signature, ciphertexts } = seal;
  if (nonce.length !== NONCE_BYTES || signature.length !== SIGNATURE_BYTES)
    throw new RangeError('the seal has no nonce of 8 or no signature of 64 bytes');
  const count = orders.length;
  if (count === 0 || count > TREE_SIZE_MAX || tokens.length !== count || ciphertexts.length !== count)
    throw new RangeError(
      `${count} orders with ${tokens.length} tokens and ${ciphertexts.length} ciphertexts are no batch`,
    );
  let bytes = GRANTS_HEAD_BYTES;
  for (let at = 0; at < count; at += 1) bytes += 4 + tokens[at]!.length + ciphertexts[at]!.length;
  const out = Buffer.allocUnsafe(bytes);
  out[0] = KIND_GRANTS;
  out.writeUInt32BE(seal.keyId, 1);
  out.set(nonce, 5);
  out.set(signature, 13);
  out.writeUInt16BE(count, 77);
  let to = GRANTS_HEAD_BYTES;
  const put = (part: Uint8Array) => {
    out.writeUInt16BE(part.length, to);
    out.set(part, to + 2);
    to += 2 + part.length;
  };
  for (let at = 0; at < count; at += 1) {
    put(tokens[at]!);
    put(ciphertexts[at]!);
  }
  return out;
}

export function encodeFence(unit: Pick<SliceUnit, 'sliceId' | 'epoch'>): Buffer {
  const out = Buffer.allocUnsafe(FENCE_BYTES);
  out[0] = KIND_FENCE;
  out.writeBigUInt64BE(unit.sliceId, 1);
  out.writeUInt32BE(unit.epoch, 9);
  return out;
}

/** Undefined when the bytes are no record; never throws. */
export function decodeRecord(sequence: LogSequence, bytes: Buffer): LogRecord | undefined {
  if (bytes[0] === KIND_FENCE) return decodeFence(sequence, bytes);
  if (bytes[0] !== KIND_GRANTS || bytes.length < GRANTS_HEAD_BYTES) return undefined;
  const count = bytes.readUInt16BE(77);
  const orders: Order[] = [];
  const tokens: ReadableToken[] = [];
  const ciphertexts: Buffer[] = [];
  let at = GRANTS_HEAD_BYTES;
  const take = (): Buffer | undefined => {
    if (at + 2 > bytes.length) return undefined;
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) return undefined;
    const part = bytes.subarray(at + 2, end);
    at = end;
    return part;
  };
  for (let read = 0; read < count; read += 1) {
    const token = take();
    const ciphertext = token && take();
    const order = token && decodeToken(token);
    if (!order || !ciphertext) return undefined;
    orders.push(order);
    tokens.push(token as ReadableToken);
    ciphertexts.push(ciphertext);
  }
  if (at !== bytes.length || count === 0 || count > TREE_SIZE_MAX) return undefined;
  const seal = {
    keyId: bytes.readUInt32BE(1),
    nonce: bytes.subarray(5, 13),
    signature: bytes.subarray(13, 77),
    ciphertexts,
  };
  return { kind: 'grants', sequence, orders, tokens, seal };
}

function decodeFence(sequence: LogSequence, bytes: Buffer): LogRecord | undefined {
  if (bytes.length !== FENCE_BYTES) return undefined;
  return {
    kind: 'fence',
    sequence,
    sliceId: bytes.readBigUInt64BE(1) as SliceId,
    epoch: bytes.readUInt32BE(9),
  };
}
