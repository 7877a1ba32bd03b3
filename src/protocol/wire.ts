/** The few parts of the protobuf wire format that our hot paths write and read by hand; checked against bufbuild's. */

export const WIRE_VARINT = 0;
export const WIRE_BYTES = 2;

/** Thrown by WireReader for bytes that are no canonical encoding; decoders turn it into a refusal. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/** Appends to one buffer that is used again and again; `take` copies out. */
export class WireWriter {
  private buffer: Buffer;
  private at = 0;

  constructor(bytes = 1024) {
    this.buffer = Buffer.allocUnsafe(bytes);
  }

  reset(): this {
    this.at = 0;
    return this;
  }

  take(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.at));
  }

  tag(field: number, wire: number): void {
    this.uint(field * 8 + wire);
  }

  /** A varint of a non-negative safe integer. */
  uint(value: number): void {
    this.room(10);
    const { buffer } = this;
    let at = this.at;
    let high = value;
    for (; high > INT32_MAX; high = Math.floor(high / 0x80)) buffer[at++] = (high % 0x80) | 0x80;
    // Small enough now to be shifted.
    let rest = high | 0;
    for (; rest > 0x7f; rest >>= 7) buffer[at++] = rest | 0x80;
    buffer[at++] = rest;
    this.at = at;
  }

  /** Field with a varint; left out when zero, as proto3 does. */
  uintField(field: number, value: number): void {
    if (value === 0) return;
    this.tag(field, WIRE_VARINT);
    this.uint(value);
  }

  /** Field with a positive int64. */
  int64Field(field: number, value: bigint): void {
    if (value === 0n) return;
    this.tag(field, WIRE_VARINT);
    if (value <= MAX_SAFE) {
      this.uint(Number(value));
      return;
    }
    this.room(10);
    let rest = value;
    while (rest > 0x7fn) {
      this.buffer[this.at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.buffer[this.at++] = Number(rest);
  }

  /** Field with ASCII text; every string of a token is made of id parts. */
  asciiField(field: number, text: string): void {
    if (text.length === 0) return;
    this.tag(field, WIRE_BYTES);
    this.uint(text.length);
    this.room(text.length);
    const { buffer, at } = this;
    for (let read = 0; read < text.length; read += 1) buffer[at + read] = text.charCodeAt(read);
    this.at = at + text.length;
  }

  bytesField(field: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.tag(field, WIRE_BYTES);
    this.uint(bytes.length);
    this.room(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  private room(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + bytes));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }
}

const INT32_MAX = 2 ** 31 - 1;
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const INT64_MAX = 2n ** 63n - 1n;

/**
 * Reads strictly: minimal varints only, no zeros (a field that is zero is left out), nothing past the end, fields in
 * rising order and each at most once.
 */
export class WireReader {
  private at = 0;
  private field = 0;

  constructor(private readonly bytes: Uint8Array) {}

  get done(): boolean {
    return this.at === this.bytes.length;
  }

  /** The next field's number; its wire type must be the one that `wireOf` names. */
  next(wireOf: readonly (number | undefined)[]): number {
    const tag = this.uint();
    const field = tag > INT32_MAX ? 0 : tag >> 3;
    if (field <= this.field) throw new WireError('fields repeat or are out of order');
    if (wireOf[field] === undefined || wireOf[field] !== (tag & 7))
      throw new WireError('unknown field or wrong wire type');
    this.field = field;
    return field;
  }

  /** A varint up to 2^53 − 1; plain numbers, because most numbers of a token fit and a bigint each costs more. */
  uint(): number {
    const first = this.bytes[this.at];
    if (first === undefined || first === 0 || first > 0x7f) return this.longUint();
    this.at += 1;
    return first;
  }

  private longUint(): number {
    let value = 0;
    let scale = 1;
    for (let read = 0; read < 8; read += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0) throw new WireError('number not minimal, or a zero');
        if (value > Number.MAX_SAFE_INTEGER) throw new WireError('number too large');
        return value;
      }
      scale *= 0x80;
    }
    throw new WireError('number too large');
  }

  /** A varint up to 2^63 − 1. */
  int64(): bigint {
    let value = 0;
    let scale = 1;
    for (let read = 0; read < 7; read += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0) throw new WireError('number not minimal, or a zero');
        return BigInt(value);
      }
      scale *= 0x80;
    }
    return this.int64Tail(BigInt(value));
  }

  private byte(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw new WireError('cut off inside a number');
    return byte;
  }

  private int64Tail(low: bigint): bigint {
    let value = low;
    for (let shift = 49n; shift <= 63n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0) throw new WireError('number not minimal');
        if (value > INT64_MAX) throw new WireError('negative or too large a number');
        return value;
      }
    }
    throw new WireError('number too long');
  }

  bytesOf(lengthMax: number): Uint8Array {
    const end = this.endOf(lengthMax);
    const taken = this.bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }

  /** A name that recurs: compared with those seen before, made to a string only when it is new. */
  name<Name extends string>(names: Names<Name>): Name {
    const end = this.endOf(names.lengthMax);
    const name = names.of(this.bytes, this.at, end);
    if (name === undefined) throw new WireError('no such name');
    this.at = end;
    return name;
  }

  /** Where a field of bytes begins that is read later; passes over it. */
  skipBytes(lengthMax: number): { readonly start: number; readonly end: number } {
    const end = this.endOf(lengthMax);
    const start = this.at;
    this.at = end;
    return { start, end };
  }

  private endOf(lengthMax: number): number {
    const length = this.uint();
    if (length > lengthMax || this.at + length > this.bytes.length)
      throw new WireError('cut off inside bytes');
    return this.at + length;
  }
}

/** Whether the bytes from `start` on are this text. */
export function isAsciiAt(bytes: Uint8Array, start: number, text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (bytes[start + at] !== text.charCodeAt(at)) return false;
  return true;
}

/** The bytes from `start` to `end` as text; a Buffer's own call is three times as fast as putting it together. */
export const asciiText = (bytes: Uint8Array, start: number, end: number): string => {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString('latin1', start, end);
};

const SLOTS = 64;

/**
 * Names seen lately: a night has a handful of campaigns, scenes and phases, and a million tokens that name them. One
 * string is kept for all. Two that fall into one slot push each other out, so strangers can't fill the memory.
 */
export class Names<Name extends string> {
  private readonly slots: (Name | undefined)[] = new Array<Name | undefined>(SLOTS).fill(undefined);

  constructor(
    readonly lengthMax: number,
    private readonly parse: (text: string) => Name | undefined,
  ) {}

  of(bytes: Uint8Array, start: number, end: number): Name | undefined {
    const length = end - start;
    const slot =
      (bytes[start]! * 7 + bytes[end - 1]! * 31 + bytes[start + (length >> 1)]! * 3 + length) % SLOTS;
    const seen = this.slots[slot];
    if (seen !== undefined && seen.length === length && isAsciiAt(bytes, start, seen)) return seen;
    const name = this.parse(asciiText(bytes, start, end));
    if (name !== undefined) this.slots[slot] = name;
    return name;
  }
}
