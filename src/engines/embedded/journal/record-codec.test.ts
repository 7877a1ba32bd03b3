import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aBatch, upTo } from '../../../../test/support/batches.ts';
import type { SliceId } from '../../../vocabulary/ids.ts';
import type { LogRecord } from '../../ports.ts';
import { decodeRecord, encodeFence, encodeGrants } from './record-codec.ts';

const encode = (record: LogRecord): Buffer =>
  record.kind === 'fence' ? encodeFence(record) : encodeGrants(record);

describe('the record codec', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(10_000), { minLength: 1, maxLength: 70 }), (people) => {
        const batch = aBatch(people);
        expect(decodeRecord(5, encodeGrants(batch))).toEqual({ kind: 'grants', sequence: 5, ...batch });
      }),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.bigInt(1n, 2n ** 63n - 1n), fc.integer({ min: 1, max: 2 ** 31 - 1 }), (id, epoch) => {
        const unit = { sliceId: id as SliceId, epoch };
        expect(decodeRecord(6, encodeFence(unit))).toEqual({ kind: 'fence', sequence: 6, ...unit });
      }),
    );
  });

  it('takes nothing but what it would write itself: 100,000 altered records', () => {
    const samples = [
      encodeGrants(aBatch([1])),
      encodeGrants(aBatch(upTo(5))),
      encodeFence({ sliceId: 9n as SliceId, epoch: 2 }),
    ];
    fc.assert(
      fc.property(fc.nat(2), fc.nat(1_000), fc.nat(255), fc.nat(3), (which, at, byte, how) => {
        const bytes = Buffer.from(samples[which]!);
        const place = at % bytes.length;
        bytes[place] = byte;
        const altered =
          how === 0
            ? bytes.subarray(0, place)
            : how === 1
              ? Buffer.concat([bytes, bytes.subarray(place)])
              : how === 2
                ? Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1)])
                : bytes;
        const record = decodeRecord(1, altered);
        if (record) expect(encode(record).equals(altered)).toBe(true);
      }),
      { numRuns: 100_000 },
    );
  });

  it('refuses batches that are none', () => {
    const good = aBatch([1, 2]);
    const bad = [
      { ...good, orders: good.orders.slice(1) },
      { ...good, tokens: good.tokens.slice(1) },
      { ...good, seal: { ...good.seal, nonce: Buffer.alloc(12) } },
      { ...good, seal: { ...good.seal, signature: Buffer.alloc(63) } },
      aBatch(upTo(1_025)),
    ];
    for (const one of bad) expect(() => encodeGrants(one)).toThrow(RangeError);
  });
});
