/** Where each record lies: 14 bytes a record, in arrays that double. Sequence n is entry n − 1. */
export class PlaceIndex {
  private segments = new Uint16Array(1024);
  private offsets = new Float64Array(1024);
  private lengths = new Uint32Array(1024);
  count = 0;

  add(segment: number, offset: number, length: number): void {
    if (this.count === this.offsets.length) this.grow();
    this.segments[this.count] = segment;
    this.offsets[this.count] = offset;
    this.lengths[this.count] = length;
    this.count += 1;
  }

  of(sequence: number): { segment: number; offset: number; length: number } {
    const at = sequence - 1;
    return { segment: this.segments[at]!, offset: this.offsets[at]!, length: this.lengths[at]! };
  }

  private grow(): void {
    const grown = <Array extends Uint16Array | Float64Array | Uint32Array>(from: Array, to: Array): Array => {
      to.set(from as never);
      return to;
    };
    this.segments = grown(this.segments, new Uint16Array(this.count * 2));
    this.offsets = grown(this.offsets, new Float64Array(this.count * 2));
    this.lengths = grown(this.lengths, new Uint32Array(this.count * 2));
  }
}
