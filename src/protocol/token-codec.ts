import { AWARD_TYPES, type AwardType, isMoney } from '../vocabulary/award-type.ts';
import type { Brand } from '../vocabulary/brand.ts';
import { FEN_MAX, type Fen } from '../vocabulary/fen.ts';
import {
  type ActId,
  type AppId,
  type CampaignId,
  type PhaseId,
  type PhaseKey,
  parseCampaignId,
  parsePhaseId,
  parseSceneId,
  type RainId,
  type SceneId,
  type SliceId,
} from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import type { Order } from '../vocabulary/order.ts';
import { ORDER_NUMBER_LENGTH_MAX, type OrderNumber } from '../vocabulary/order-number.ts';
import { TOKEN_STATUS } from '../vocabulary/token-status.ts';
import {
  asciiText,
  isAsciiAt,
  Names,
  WIRE_BYTES,
  WIRE_VARINT,
  WireError,
  WireReader,
  WireWriter,
} from './wire.ts';

const INT32_MAX = 2 ** 31 - 1;
const ID_LENGTH_MAX = 32;
const MAX_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

/** Wire type of each field of RedPacketToken, by number. */
const TOKEN_WIRE: readonly (number | undefined)[] = [
  undefined,
  WIRE_VARINT, // 1 app_id
  WIRE_VARINT, // 2 act_id
  WIRE_BYTES, // 3 activity_id
  WIRE_BYTES, // 4 scene_id
  WIRE_VARINT, // 5 amount
  WIRE_BYTES, // 6 out_trade_no
  WIRE_VARINT, // 7 open_time
  WIRE_VARINT, // 8 rain_id
  WIRE_VARINT, // 9 status
  WIRE_BYTES, // 10 stage
  WIRE_VARINT, // 11 phase_key
  WIRE_VARINT, // 12 slice_id
  WIRE_VARINT, // 13 slice_epoch
  WIRE_VARINT, // 14 slice_index
  WIRE_BYTES, // 15 instead_of
];

/** A token that reads back. */
export type ReadableToken = Brand<Buffer, 'ReadableToken'>;

const writer = new WireWriter();

/** The order as a RedPacketToken (proto/hongbao/v1/token.proto): one order, one encoding. */
export function encodeToken(order: Order): Buffer {
  writer.reset();
  writer.uintField(1, order.appId);
  writer.int64Field(2, order.actId);
  writer.asciiField(3, order.campaignId);
  writer.asciiField(4, order.sceneId);
  writer.int64Field(5, order.amountFen);
  writer.asciiField(6, order.orderNumber);
  writer.uintField(7, order.drawnAtMs);
  writer.uintField(8, order.rainId);
  writer.uintField(9, TOKEN_STATUS.outstanding);
  writer.asciiField(10, order.phaseId);
  writer.uintField(11, order.phaseKey);
  writer.int64Field(12, order.unit.sliceId);
  writer.uintField(13, order.unit.epoch);
  writer.uintField(14, order.unit.index);
  writer.asciiField(15, order.insteadOf ?? '');
  return writer.take();
}

/**
 * The same, read back once: for what goes into a log, because one record that nobody can read, once promised, would
 * stop everybody who reads that log. Throws a RangeError for an order that does not read back.
 */
export function encodeReadableToken(order: Order): ReadableToken {
  const token = encodeToken(order);
  if (!decodeToken(token)) throw new RangeError(`order ${order.orderNumber} can't be written as a token`);
  return token as ReadableToken;
}

/**
 * Reads a token strictly: only what `encodeToken` can write is accepted, and the order number must be the format of
 * the other fields. Undefined for anything else; never throws.
 */
export function decodeToken(bytes: Uint8Array): Order | undefined {
  try {
    return readToken(bytes);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

const campaigns = new Names(ID_LENGTH_MAX, parseCampaignId);
const scenes = new Names(ID_LENGTH_MAX, parseSceneId);
const stages = new Names(ID_LENGTH_MAX, parsePhaseId);
const NOWHERE = { start: 0, end: 0 };

function readToken(bytes: Uint8Array): Order | undefined {
  const reader = new WireReader(bytes);
  let appId = 0;
  let actId = 0n;
  let campaignId: CampaignId | undefined;
  let sceneId: SceneId | undefined;
  let amount = 0n;
  let number = NOWHERE;
  let openTime = 0;
  let rainId = 0;
  let status = 0;
  let stage: PhaseId | undefined;
  let phaseKey = 0;
  let sliceId = 0n;
  let epoch = 0;
  let index = 0;
  let insteadOf: SceneId | undefined;
  while (!reader.done) {
    switch (reader.next(TOKEN_WIRE)) {
      case 1:
        appId = reader.uint();
        break;
      case 2:
        actId = reader.int64();
        break;
      case 3:
        campaignId = reader.name(campaigns);
        break;
      case 4:
        sceneId = reader.name(scenes);
        break;
      case 5:
        amount = reader.int64();
        break;
      case 6:
        number = reader.skipBytes(ORDER_NUMBER_LENGTH_MAX);
        break;
      case 7:
        openTime = reader.uint();
        break;
      case 8:
        rainId = reader.uint();
        break;
      case 9:
        status = reader.uint();
        break;
      case 10:
        stage = reader.name(stages);
        break;
      case 11:
        phaseKey = reader.uint();
        break;
      case 12:
        sliceId = reader.int64();
        break;
      case 13:
        epoch = reader.uint();
        break;
      case 14:
        index = reader.uint();
        break;
      case 15:
        insteadOf = reader.name(scenes);
        break;
    }
  }
  if (!campaignId || !sceneId || !stage || status !== TOKEN_STATUS.outstanding) return undefined;
  if (actId === 0n || amount > FEN_MAX || sliceId === 0n || openTime === 0) return undefined;
  if (!isInt32(appId) || !isInt32(rainId) || !isInt32(phaseKey) || !isInt32(epoch) || index > INT32_MAX)
    return undefined;
  // The order number must be the format of the other fields; compared in place, because formatting costs more.
  const afterAct = digitsEnd(bytes, number.start, actId);
  const afterScene = textEnd(bytes, textEnd(bytes, afterAct, '_'), sceneId);
  const afterRain = digitsEnd(bytes, textEnd(bytes, afterScene, '_'), BigInt(rainId));
  const awardType = AWARD_TYPES.find(
    (one) => textEnd(bytes, textEnd(bytes, afterRain, AWARD_INFIX[one]), stage) === number.end,
  );
  // Only a piece may be worth nothing.
  if (!awardType || (amount === 0n && isMoney(awardType))) return undefined;
  return {
    orderNumber: asciiText(bytes, number.start, number.end) as OrderNumber,
    appId: appId as AppId,
    actId: actId as ActId,
    campaignId,
    phaseId: stage,
    phaseKey: phaseKey as PhaseKey,
    sceneId,
    rainId: rainId as RainId,
    awardType,
    amountFen: amount as Fen,
    drawnAtMs: instantMs(openTime),
    unit: { sliceId: sliceId as SliceId, epoch, index },
    ...(insteadOf === undefined ? {} : { insteadOf }),
  };
}

const AWARD_INFIX = Object.fromEntries(AWARD_TYPES.map((one) => [one, `_${one}_`])) as Record<
  AwardType,
  string
>;

/** Where this text ends that must begin at `start`; NaN when it does not stand there, and from NaN on. */
const textEnd = (bytes: Uint8Array, start: number, text: string): number =>
  isAsciiAt(bytes, start, text) ? start + text.length : Number.NaN;

/** The same for a number in decimal. */
function digitsEnd(bytes: Uint8Array, start: number, value: bigint): number {
  if (value > MAX_EXACT) return textEnd(bytes, start, value.toString());
  let rest = Number(value);
  let digits = 1;
  for (let power = 10; power <= rest; power *= 10) digits += 1;
  for (let at = start + digits - 1; at >= start; at -= 1) {
    if (bytes[at] !== 0x30 + (rest % 10)) return Number.NaN;
    rest = Math.floor(rest / 10);
  }
  return start + digits;
}

const isInt32 = (value: number): boolean => value > 0 && value <= INT32_MAX;

/** A SealedToken in fields. */
export interface SealedTokenFields {
  readonly keyId: number;
  readonly nonce: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly leafIndex: number;
  readonly treeSize: number;
  /** Sibling hashes from the leaf up, 32 bytes each, joined. */
  readonly path: Uint8Array;
  readonly signature: Uint8Array;
}

const SEAL_VERSION = 1;
export const SEALED_TOKEN_BYTES_MAX = 1_024;
export const TREE_SIZE_MAX = 1_024;

const SEALED_WIRE: readonly (number | undefined)[] = [
  undefined,
  WIRE_VARINT, // 1 version
  WIRE_VARINT, // 2 key_id
  WIRE_BYTES, // 3 nonce
  WIRE_BYTES, // 4 ciphertext
  WIRE_VARINT, // 5 leaf_index
  WIRE_VARINT, // 6 tree_size
  WIRE_BYTES, // 7 path
  WIRE_BYTES, // 8 signature
];

export function encodeSealedToken(token: SealedTokenFields): Buffer {
  writer.reset();
  writer.uintField(1, SEAL_VERSION);
  writer.uintField(2, token.keyId);
  writer.bytesField(3, token.nonce);
  writer.bytesField(4, token.ciphertext);
  writer.uintField(5, token.leafIndex);
  writer.uintField(6, token.treeSize);
  writer.bytesField(7, token.path);
  writer.bytesField(8, token.signature);
  return writer.take();
}

/** Reads a sealed token's frame; says nothing yet about whether its seal holds. Undefined for anything malformed. */
export function decodeSealedToken(bytes: Uint8Array): SealedTokenFields | undefined {
  if (bytes.length > SEALED_TOKEN_BYTES_MAX) return undefined;
  try {
    return readSealedToken(bytes);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function readSealedToken(bytes: Uint8Array): SealedTokenFields | undefined {
  const reader = new WireReader(bytes);
  const empty = new Uint8Array();
  let [version, keyId, leafIndex, treeSize] = [0, 0, 0, 0];
  let [nonce, ciphertext, path, signature]: Uint8Array[] = [empty, empty, empty, empty];
  while (!reader.done) {
    switch (reader.next(SEALED_WIRE)) {
      case 1:
        version = reader.uint();
        break;
      case 2:
        keyId = reader.uint();
        break;
      case 3:
        nonce = reader.bytesOf(12);
        break;
      case 4:
        ciphertext = reader.bytesOf(512);
        break;
      case 5:
        leafIndex = reader.uint();
        break;
      case 6:
        treeSize = reader.uint();
        break;
      case 7:
        path = reader.bytesOf(32 * 10);
        break;
      case 8:
        signature = reader.bytesOf(64);
        break;
    }
  }
  if (version !== SEAL_VERSION || keyId === 0 || keyId > 0xffff_ffff) return undefined;
  if (nonce!.length !== 12 || ciphertext!.length < 17 || signature!.length !== 64 || path!.length % 32 !== 0)
    return undefined;
  if (treeSize < 1 || treeSize > TREE_SIZE_MAX || leafIndex >= treeSize) return undefined;
  return {
    keyId,
    nonce: nonce!,
    ciphertext: ciphertext!,
    leafIndex,
    treeSize,
    path: path!,
    signature: signature!,
  };
}
