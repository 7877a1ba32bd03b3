import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Fen } from '../vocabulary/fen.ts';
import type {
  ActId,
  AppId,
  CampaignId,
  PhaseId,
  PhaseKey,
  RainId,
  SceneId,
  SliceId,
} from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import type { Order } from '../vocabulary/order.ts';
import { formatOrderNumber } from '../vocabulary/order-number.ts';
import { RedPacketTokenSchema, SealedTokenSchema } from './gen/hongbao/v1/token_pb.ts';
import { decodeSealedToken, decodeToken, encodeSealedToken, encodeToken } from './token-codec.ts';

const INT32_MAX = 2 ** 31 - 1;
const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/);
const int32 = fc.integer({ min: 1, max: INT32_MAX });
const int64 = fc.bigInt(1n, 2n ** 63n - 1n);

const order: fc.Arbitrary<Order> = fc
  .record({
    actId: int64,
    sceneId: name,
    rainId: int32,
    stage: name,
    appId: int32,
    campaignId: name,
    phaseKey: int32,
    amount: fc.bigInt(1n, 2n ** 53n - 1n),
    at: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    sliceId: int64,
    epoch: int32,
    index: fc.nat(INT32_MAX),
    insteadOf: fc.option(name, { nil: undefined }),
  })
  .map((one) => ({
    orderNumber: formatOrderNumber({
      actId: one.actId as ActId,
      sceneId: one.sceneId as SceneId,
      rainId: one.rainId as RainId,
      awardType: 'cash',
      stage: one.stage as PhaseId,
    }),
    appId: one.appId as AppId,
    actId: one.actId as ActId,
    campaignId: one.campaignId as CampaignId,
    phaseId: one.stage as PhaseId,
    phaseKey: one.phaseKey as PhaseKey,
    sceneId: one.sceneId as SceneId,
    rainId: one.rainId as RainId,
    awardType: 'cash' as const,
    amountFen: one.amount as Fen,
    drawnAtMs: instantMs(one.at),
    unit: { sliceId: one.sliceId as SliceId, epoch: one.epoch, index: one.index },
    ...(one.insteadOf === undefined ? {} : { insteadOf: one.insteadOf as SceneId }),
  }));

describe('the token codec', () => {
  it('writes byte for byte what bufbuild writes, and reads it back', () => {
    fc.assert(
      fc.property(order, (one) => {
        const bytes = encodeToken(one);
        const message = create(RedPacketTokenSchema, {
          appId: BigInt(one.appId),
          actId: one.actId,
          activityId: one.campaignId,
          sceneId: one.sceneId,
          amount: one.amountFen,
          outTradeNo: one.orderNumber,
          openTime: BigInt(one.drawnAtMs),
          rainId: one.rainId,
          status: 1n,
          stage: one.phaseId,
          phaseKey: one.phaseKey,
          sliceId: one.unit.sliceId,
          sliceEpoch: one.unit.epoch,
          sliceIndex: one.unit.index,
          insteadOf: one.insteadOf ?? '',
        });
        expect(Buffer.from(toBinary(RedPacketTokenSchema, message)).equals(bytes)).toBe(true);
        expect(decodeToken(bytes)).toEqual(one);
      }),
      { numRuns: 2_000 },
    );
  });

  it('accepts nothing but what it would write itself: 100,000 altered tokens', () => {
    const sample = fc.sample(order, { numRuns: 50, seed: 1 }).map(encodeToken);
    fc.assert(
      fc.property(fc.nat(49), fc.nat(300), fc.nat(255), fc.nat(4), (which, at, byte, how) => {
        const original = sample[which]!;
        const place = at % original.length;
        const bytes =
          how === 0
            ? original.subarray(0, place)
            : how === 1
              ? Buffer.concat([original.subarray(0, place), Buffer.from([byte]), original.subarray(place)])
              : how === 2
                ? Buffer.concat([original, original.subarray(place)])
                : Buffer.from(original.map((old, position) => (position === place ? byte : old)));
        const decoded = decodeToken(bytes);
        if (decoded) expect(encodeToken(decoded).equals(bytes)).toBe(true);
      }),
      { numRuns: 100_000 },
    );
  });

  it('survives 100,000 byte strings of any kind, token and sealed token', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const token = decodeToken(bytes);
        if (token) expect(encodeToken(token).equals(bytes)).toBe(true);
        const sealed = decodeSealedToken(bytes);
        if (sealed) expect(encodeSealedToken(sealed).equals(bytes)).toBe(true);
      }),
      { numRuns: 100_000 },
    );
  });

  it('writes sealed tokens as bufbuild does', () => {
    const fields = {
      keyId: 7,
      nonce: Buffer.alloc(12, 1),
      ciphertext: Buffer.alloc(99, 2),
      leafIndex: 3,
      treeSize: 64,
      path: Buffer.alloc(192, 3),
      signature: Buffer.alloc(64, 4),
    };
    const bytes = encodeSealedToken(fields);
    const message = fromBinary(SealedTokenSchema, bytes);
    expect(Buffer.from(toBinary(SealedTokenSchema, message)).equals(bytes)).toBe(true);
    expect(message).toMatchObject({ version: 1, keyId: 7, leafIndex: 3, treeSize: 64 });
    expect(decodeSealedToken(bytes)).toMatchObject({ keyId: 7, leafIndex: 3, treeSize: 64 });
  });
});
