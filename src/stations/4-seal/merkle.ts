import { hash } from 'node:crypto';

/**
 * A Merkle tree as in RFC 6962: leaves and nodes are hashed under different first bytes, so that neither can be passed
 * off as the other; an odd node at a level's end moves up unhashed. Hashes are SHA-256.
 */
const LEAF = 0x00;
const NODE = 0x01;
export const HASH_BYTES = 32;

const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, NODE);

/** The leaf of a token: its nonce and its ciphertext. */
export function leafHash(nonce: Uint8Array, ciphertext: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(1 + nonce.length + ciphertext.length);
  input[0] = LEAF;
  input.set(nonce, 1);
  input.set(ciphertext, 1 + nonce.length);
  return hash('sha256', input, 'buffer');
}

function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return hash('sha256', nodeInput, 'buffer');
}

/** The tree's levels, leaves first, the root alone in the last. */
export function buildTree(leaves: readonly Buffer[]): Buffer[][] {
  const levels: Buffer[][] = [[...leaves]];
  while (levels.at(-1)!.length > 1) {
    const below = levels.at(-1)!;
    const level: Buffer[] = [];
    for (let at = 0; at < below.length; at += 2) {
      const right = below[at + 1];
      level.push(right ? nodeHash(below[at]!, right) : below[at]!);
    }
    levels.push(level);
  }
  return levels;
}

/** The siblings on the way from a leaf to the root, joined. */
export function pathOf(levels: readonly (readonly Buffer[])[], leafIndex: number): Buffer {
  const siblings: Buffer[] = [];
  let at = leafIndex;
  for (const level of levels.slice(0, -1)) {
    const sibling = level[at ^ 1];
    if (sibling) siblings.push(sibling);
    at >>= 1;
  }
  return Buffer.concat(siblings);
}

/** The root that a leaf and its path lead to; undefined when the path's length does not fit the place in the tree. */
export function rootFrom(
  leaf: Buffer,
  leafIndex: number,
  treeSize: number,
  path: Uint8Array,
): Buffer | undefined {
  let node = leaf;
  let at = leafIndex;
  let width = treeSize;
  let taken = 0;
  while (width > 1) {
    const isPromoted = at === width - 1 && at % 2 === 0;
    if (!isPromoted) {
      if (taken + HASH_BYTES > path.length) return undefined;
      const sibling = path.subarray(taken, taken + HASH_BYTES);
      taken += HASH_BYTES;
      node = at % 2 === 0 ? nodeHash(node, sibling) : nodeHash(sibling, node);
    }
    at >>= 1;
    width = Math.ceil(width / 2);
  }
  return taken === path.length ? node : undefined;
}
