import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type ClientFrame,
  ClientFrameSchema,
  type ServerFrame,
  ServerFrameSchema,
  type ShakeResult,
  ShakeResultSchema,
} from './gen/hongbao/v1/play_pb.ts';
import { WireError, WireReader } from './wire.ts';

export const FRAME_BYTES_MAX = 4_096;

/** A client's frame; undefined when it is none. Never throws. */
export function decodeClientFrame(bytes: Uint8Array): ClientFrame | undefined {
  try {
    return fromBinary(ClientFrameSchema, bytes);
  } catch {
    return undefined;
  }
}

type ServerBody = Exclude<ServerFrame['body'], { case: undefined }>;

export const encodeServerFrame = (requestId: number, body: ServerBody): Uint8Array =>
  toBinary(ServerFrameSchema, create(ServerFrameSchema, { requestId, body }));

export interface FastShake {
  readonly requestId: number;
  readonly claimRecord: Uint8Array;
}

/** Wire type by field number: ClientFrame {1 request_id, 3 shake}, Shake {1 claim_record, 2 shakes}. */
const FRAME_WIRE = [undefined, 0, undefined, 2];
const SHAKE_WIRE = [undefined, 2, 0];
const NO_CLAIM = new Uint8Array();

/**
 * Reads the one frame that comes a hundred thousand times a second, at a tenth of bufbuild's cost (play-frames.test.ts
 * holds both to the same answers). Undefined for any other frame, and for any unusual encoding of this one: those take
 * the general way.
 */
export function decodeShakeFast(bytes: Uint8Array): FastShake | undefined {
  try {
    return readShake(bytes);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function readShake(bytes: Uint8Array): FastShake | undefined {
  const frame = new WireReader(bytes);
  let requestId = 0;
  let shake: Uint8Array | undefined;
  while (!frame.done) {
    if (frame.next(FRAME_WIRE) === 1) requestId = frame.uint();
    else shake = frame.bytesOf(FRAME_BYTES_MAX);
  }
  if (!shake || requestId > 0xffff_ffff) return undefined;
  const reader = new WireReader(shake);
  let claimRecord = NO_CLAIM;
  while (!reader.done) {
    if (reader.next(SHAKE_WIRE) === 1)
      claimRecord = reader.bytesOf(FRAME_BYTES_MAX) as Uint8Array<ArrayBuffer>;
    else if (reader.uint() > 0xffff_ffff) return undefined;
  }
  return { requestId, claimRecord };
}

/** A shake's result, encoded without its frame; the ones that recur are kept and framed again and again. */
export const encodeShakeResult = (result: ShakeResult): Uint8Array => toBinary(ShakeResultSchema, result);

/** ShakeResult{nothing{}}: field 1, empty. */
export const NOTHING_RESULT = Uint8Array.of(0x0a, 0x00);

/** ServerFrame{request_id, shake_result} around a result that is encoded already: fields 1 and 3. */
export function frameShakeResult(requestId: number, result: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(result.length + 12);
  let at = 0;
  if (requestId > 0) {
    out[at++] = 0x08;
    at = putVarint(out, at, requestId);
  }
  out[at++] = 0x1a;
  at = putVarint(out, at, result.length);
  out.set(result, at);
  return out.subarray(0, at + result.length);
}

function putVarint(out: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  while (rest > 0x7f) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}
