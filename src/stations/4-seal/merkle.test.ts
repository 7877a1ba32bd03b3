import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildTree, HASH_BYTES, leafHash, pathOf, rootFrom } from './merkle.ts';

const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const leavesOf = (count: number) =>
  Array.from({ length: count }, (_, at) => leafHash(Buffer.alloc(12, at), Buffer.from(`token ${at}`)));

/** The tree hash as RFC 6962 defines it, from the top down: split at the largest power of two below the size. */
function rfcRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 1) return leaves[0]!;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.from([1]), rfcRoot(leaves.slice(0, split)), rfcRoot(leaves.slice(split)));
}

describe('the tree', () => {
  it('hashes leaves under 0x00', () => {
    const [nonce, ciphertext] = [Buffer.alloc(12, 7), Buffer.from('sealed')];
    expect(leafHash(nonce, ciphertext)).toEqual(sha256(Buffer.from([0]), nonce, ciphertext));
  });

  it('has the root of RFC 6962 for every size up to 200, and a path to it from every leaf', () => {
    for (let size = 1; size <= 200; size += 1) {
      const leaves = leavesOf(size);
      const levels = buildTree(leaves);
      const root = levels.at(-1)![0]!;
      expect(root.equals(rfcRoot(leaves))).toBe(true);
      for (const [at, leaf] of leaves.entries())
        expect(rootFrom(leaf, at, size, pathOf(levels, at))?.equals(root)).toBe(true);
    }
  });

  it('leads nowhere from another place, through another path, or for another leaf', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 100 }),
        fc.nat(),
        fc.nat(),
        fc.nat(),
        (size, which, other, bit) => {
          const leaves = leavesOf(size);
          const levels = buildTree(leaves);
          const root = levels.at(-1)![0]!;
          const at = which % size;
          const elsewhere = other % size;
          const path = pathOf(levels, at);
          const flipped = Buffer.from(path);
          flipped[(bit >> 3) % path.length]! ^= 1 << (bit & 7);
          const leads = (...[leaf, index, length, way]: Parameters<typeof rootFrom>) =>
            rootFrom(leaf, index, length, way)?.equals(root) ?? false;
          expect(leads(leaves[at]!, at, size, path)).toBe(true);
          expect(leads(leaves[at]!, at, size, flipped)).toBe(false);
          expect(leads(leaves[at]!, at, size, path.subarray(HASH_BYTES))).toBe(false);
          expect(leads(leaves[at]!, at, size, Buffer.concat([path, Buffer.alloc(HASH_BYTES)]))).toBe(false);
          if (elsewhere !== at) {
            expect(leads(leaves[at]!, elsewhere, size, path)).toBe(false);
            expect(leads(leaves[elsewhere]!, at, size, path)).toBe(false);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('never takes a node for a leaf', () => {
    const levels = buildTree(leavesOf(4));
    const [left, right] = [levels[0]![0]!, levels[0]![1]!];
    expect(leafHash(left, right).equals(levels[1]![0]!)).toBe(false);
  });
});
