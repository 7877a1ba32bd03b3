const CHUNK_BYTES = 1 << 20;
const LENGTH_BYTES = 2;

interface Chunk {
  readonly bytes: Buffer;
  live: number;
}

/**
 * Encoded orders, packed one behind the other: 90 bytes each, where the object takes 500. A chunk goes when its last
 * order has gone; they are credited roughly in the order they came, so chunks empty one after the other.
 */
export class TokenSlab {
  private readonly chunks: (Chunk | undefined)[] = [];
  private used = CHUNK_BYTES;

  /** Keeps a copy; the handle is good until `free`. */
  put(token: Uint8Array): number {
    if (this.used + LENGTH_BYTES + token.length > CHUNK_BYTES) this.nextChunk();
    const number = this.chunks.length - 1;
    const chunk = this.chunks[number]!;
    const handle = number * CHUNK_BYTES + this.used;
    chunk.bytes.writeUInt16BE(token.length, this.used);
    chunk.bytes.set(token, this.used + LENGTH_BYTES);
    this.used += LENGTH_BYTES + token.length;
    chunk.live += 1;
    return handle;
  }

  at(handle: number): Buffer {
    const { bytes } = this.chunks[Math.floor(handle / CHUNK_BYTES)]!;
    const start = (handle % CHUNK_BYTES) + LENGTH_BYTES;
    return bytes.subarray(start, start + bytes.readUInt16BE(start - LENGTH_BYTES));
  }

  free(handle: number): void {
    const number = Math.floor(handle / CHUNK_BYTES);
    const chunk = this.chunks[number]!;
    chunk.live -= 1;
    if (chunk.live === 0 && number < this.chunks.length - 1) this.chunks[number] = undefined;
  }

  private nextChunk(): void {
    const last = this.chunks.length - 1;
    if (this.chunks[last]?.live === 0) this.chunks[last] = undefined;
    // Not from Buffer's shared pool, so that it can be given back.
    this.chunks.push({ bytes: Buffer.allocUnsafeSlow(CHUNK_BYTES), live: 0 });
    this.used = 0;
  }
}
