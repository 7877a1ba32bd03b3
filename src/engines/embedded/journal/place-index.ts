export interface RecordPlaced {
  readonly segment: number;
  /** Of the record's payload in its segment. */
  readonly offset: number;
  readonly length: number;
  /** How much of a reader's fill it is: its orders; 1 for a fence. */
  readonly weight: number;
}

/** Where each record lies: 16 bytes a record, in arrays that double. Sequence n is entry n − 1. */
export class PlaceIndex {
  private segments = new Uint16Array(1024);
  private offsets = new Float64Array(1024);
  private lengths = new Uint32Array(1024);
  private weights = new Uint16Array(1024);
  count = 0;

  add(place: RecordPlaced): void {
    if (this.count === this.offsets.length) this.grow();
    this.segments[this.count] = place.segment;
    this.offsets[this.count] = place.offset;
    this.lengths[this.count] = place.length;
    this.weights[this.count] = place.weight;
    this.count += 1;
  }

  of(sequence: number): RecordPlaced {
    const at = sequence - 1;
    return {
      segment: this.segments[at]!,
      offset: this.offsets[at]!,
      length: this.lengths[at]!,
      weight: this.weights[at]!,
    };
  }

  private grow(): void {
    const grown = <Array extends Uint16Array | Float64Array | Uint32Array>(from: Array, to: Array): Array => {
      to.set(from as never);
      return to;
    };
    const size = this.count * 2;
    this.segments = grown(this.segments, new Uint16Array(size));
    this.offsets = grown(this.offsets, new Float64Array(size));
    this.lengths = grown(this.lengths, new Uint32Array(size));
    this.weights = grown(this.weights, new Uint16Array(size));
  }
}
