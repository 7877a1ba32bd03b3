import type { TokenStatus } from '../../../vocabulary/token-status.ts';
import { doubled } from './columns.ts';

export interface WinRow {
  /** The same person's earlier win; NO_ROW at the first. */
  readonly earlier: number;
  readonly scene: number;
  readonly rain: number;
  /** Award type and phase, as one name. */
  readonly kind: number;
  readonly sequence: number;
  readonly leafIndex: number;
  /** Where the order is kept while it is outstanding. */
  readonly token: number;
  readonly status: TokenStatus;
}

/** Every win of the night, 31 bytes each, in columns that double. Rows are never taken out. */
export class WinTable {
  private earlier = new Int32Array(1024);
  private scene = new Uint16Array(1024);
  private rain = new Uint32Array(1024);
  private kind = new Uint16Array(1024);
  private sequence = new Float64Array(1024);
  private leafIndex = new Uint16Array(1024);
  private token = new Float64Array(1024);
  private status = new Uint8Array(1024);
  private count = 0;

  add(row: WinRow): number {
    if (this.count === this.earlier.length) this.grow();
    const at = this.count;
    this.earlier[at] = row.earlier;
    this.scene[at] = row.scene;
    this.rain[at] = row.rain;
    this.kind[at] = row.kind;
    this.sequence[at] = row.sequence;
    this.leafIndex[at] = row.leafIndex;
    this.token[at] = row.token;
    this.status[at] = row.status;
    this.count += 1;
    return at;
  }

  at(row: number): WinRow {
    return {
      earlier: this.earlier[row]!,
      scene: this.scene[row]!,
      rain: this.rain[row]!,
      kind: this.kind[row]!,
      sequence: this.sequence[row]!,
      leafIndex: this.leafIndex[row]!,
      token: this.token[row]!,
      status: this.status[row]! as TokenStatus,
    };
  }

  earlierOf(row: number): number {
    return this.earlier[row]!;
  }

  is(row: number, scene: number, rain: number, kind: number): boolean {
    return this.rain[row] === rain && this.scene[row] === scene && this.kind[row] === kind;
  }

  setStatus(row: number, status: TokenStatus): void {
    this.status[row] = status;
  }

  private grow(): void {
    this.earlier = doubled(this.earlier);
    this.scene = doubled(this.scene);
    this.rain = doubled(this.rain);
    this.kind = doubled(this.kind);
    this.sequence = doubled(this.sequence);
    this.leafIndex = doubled(this.leafIndex);
    this.token = doubled(this.token);
    this.status = doubled(this.status);
  }
}
