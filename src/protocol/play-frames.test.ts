import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClientFrameSchema, ServerFrameSchema, ShakeResultSchema } from './gen/hongbao/v1/play_pb.ts';
import {
  decodeClientFrame,
  decodeShakeFast,
  encodeShakeResult,
  frameShakeResult,
  NOTHING_RESULT,
} from './play-frames.ts';

const uint32 = fc.nat(0xffff_ffff);
const bytes = fc.uint8Array({ maxLength: 120 }).map((array) => Uint8Array.from(array));

describe('the fast way of a shake', () => {
  it('reads what bufbuild writes, to the same fields', () => {
    fc.assert(
      fc.property(uint32, bytes, uint32, (requestId, claimRecord, shakes) => {
        const frame = toBinary(
          ClientFrameSchema,
          create(ClientFrameSchema, { requestId, body: { case: 'shake', value: { claimRecord, shakes } } }),
        );
        const fast = decodeShakeFast(frame);
        // A shake with nothing in it takes the general way.
        if (!fast) expect(claimRecord.length + shakes).toBe(0);
        else
          expect([fast.requestId, Buffer.from(fast.claimRecord)]).toEqual([
            requestId,
            Buffer.from(claimRecord),
          ]);
      }),
    );
  });

  it('frames a result as bufbuild does', () => {
    fc.assert(
      fc.property(uint32, bytes, fc.string(), (requestId, claimRecord, textEn) => {
        const result = create(ShakeResultSchema, {
          claimRecord,
          prize: { case: 'greeting', value: { sponsorId: 'a', textEn } },
        });
        const whole = toBinary(
          ServerFrameSchema,
          create(ServerFrameSchema, { requestId, body: { case: 'shakeResult', value: result } }),
        );
        expect(Buffer.from(frameShakeResult(requestId, encodeShakeResult(result)))).toEqual(
          Buffer.from(whole),
        );
      }),
    );
    expect(fromBinary(ServerFrameSchema, frameShakeResult(3, NOTHING_RESULT)).body.value).toMatchObject({
      prize: { case: 'nothing' },
    });
  });

  it('agrees with bufbuild on 100,000 frames of any kind, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (frame) => {
        const fast = decodeShakeFast(frame);
        const slow = decodeClientFrame(frame);
        if (!fast) return;
        expect(slow?.body.case).toBe('shake');
        expect(slow?.requestId).toBe(fast.requestId);
      }),
      { numRuns: 100_000 },
    );
  });
});
