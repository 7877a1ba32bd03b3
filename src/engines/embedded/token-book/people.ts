import type { ActId } from '../../../vocabulary/ids.ts';
import { doubled } from './columns.ts';

export const NO_ROW = -1;
const LOAD_MAX = 0.6;

/**
 * From a person to a row, in three flat arrays with open addressing: about 20 bytes a person, where a Map from bigint
 * takes 100. Nobody is ever taken out.
 */
export class People {
  private low = new Uint32Array(1024);
  private high = new Uint32Array(1024);
  private rows = new Int32Array(1024).fill(NO_ROW);
  private count = 0;

  /** NO_ROW for a person who is not in here. */
  rowOf(actId: ActId): number {
    return this.rows[this.slotOf(lowOf(actId), highOf(actId))]!;
  }

  setRow(actId: ActId, row: number): void {
    const low = lowOf(actId);
    const high = highOf(actId);
    let slot = this.slotOf(low, high);
    if (this.rows[slot] === NO_ROW) {
      this.count += 1;
      if (this.count > this.rows.length * LOAD_MAX) {
        this.grow();
        slot = this.slotOf(low, high);
      }
    }
    this.low[slot] = low;
    this.high[slot] = high;
    this.rows[slot] = row;
  }

  /** The person's slot, or the free one where they would go. */
  private slotOf(low: number, high: number): number {
    const mask = this.rows.length - 1;
    let slot = mix(low, high) & mask;
    while (this.rows[slot] !== NO_ROW && (this.low[slot] !== low || this.high[slot] !== high))
      slot = (slot + 1) & mask;
    return slot;
  }

  private grow(): void {
    const { low, high, rows } = this;
    this.low = doubled(low);
    this.high = doubled(high);
    this.rows = new Int32Array(rows.length * 2).fill(NO_ROW);
    for (let from = 0; from < rows.length; from += 1) {
      if (rows[from] === NO_ROW) continue;
      const slot = this.slotOf(low[from]!, high[from]!);
      this.low[slot] = low[from]!;
      this.high[slot] = high[from]!;
      this.rows[slot] = rows[from]!;
    }
  }
}

const lowOf = (actId: ActId): number => Number(BigInt.asUintN(32, actId));
const highOf = (actId: ActId): number => Number(actId >> 32n);

/** Spreads neighbouring ids (murmur3's finisher); ids are given by control, so nobody can aim at one slot. */
function mix(low: number, high: number): number {
  let hash = low ^ Math.imul(high, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
