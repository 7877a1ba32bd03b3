import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMac, createSealbox } from './sealbox.ts';

const key = randomBytes(32);

describe('a sealbox', () => {
  const box = createSealbox(key, 'hongbao.ticket.v1');

  it('opens what it closed, the empty one too, and closes it differently each time', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (plain) => {
        expect(box.open(box.seal(plain))?.equals(plain)).toBe(true);
        expect(box.seal(plain).equals(box.seal(plain))).toBe(false);
      }),
    );
  });

  it('opens nothing with a flipped bit, cut short, under another key or for another use', () => {
    const sealed = box.seal(Buffer.from('eight hundred and eighty-eight'));
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const bytes = Buffer.from(sealed);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(box.open(bytes)).toBeUndefined();
    }
    for (let length = 0; length < sealed.length; length += 1)
      expect(box.open(sealed.subarray(0, length))).toBeUndefined();
    expect(createSealbox(randomBytes(32), 'hongbao.ticket.v1').open(sealed)).toBeUndefined();
    expect(createSealbox(key, 'hongbao.claim.v1').open(sealed)).toBeUndefined();
  });

  it('survives 100,000 byte strings', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => box.open(bytes) === undefined),
      { numRuns: 100_000 },
    );
  });
});

describe('a MAC', () => {
  const mac = createMac(key, 'hongbao.claim.v1');
  const data = Buffer.from('three packets, one sponsor');

  it('holds for its data only, under its key and use only', () => {
    const tag = mac.tag(data);
    expect(tag).toHaveLength(16);
    expect(mac.verify(data, tag)).toBe(true);
    expect(mac.verify(Buffer.from('four packets'), tag)).toBe(false);
    expect(createMac(key, 'hongbao.ticket.v1').verify(data, tag)).toBe(false);
    expect(createMac(randomBytes(32), 'hongbao.claim.v1').verify(data, tag)).toBe(false);
    for (let bit = 0; bit < tag.length * 8; bit += 1) {
      const bytes = Buffer.from(tag);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(mac.verify(data, bytes)).toBe(false);
    }
    for (const length of [0, 15, 17]) expect(mac.verify(data, Buffer.alloc(length))).toBe(false);
  });
});
