import { isMoney } from '../../vocabulary/award-type.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { AppId, PhaseKey, SliceId } from '../../vocabulary/ids.ts';
import { type ActId, parseCampaignId, parseSceneId } from '../../vocabulary/ids.ts';
import { instantMs } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import { type OrderNumber, type OrderNumberParts, parseOrderNumber } from '../../vocabulary/order-number.ts';
import { TOKEN_STATUS, type TokenStatus } from '../../vocabulary/token-status.ts';
import type { BookEntry, LogPosition, Win } from '../ports.ts';

/*
 * The book's bytes (see functions/entries.lua). An order takes about 50 here where its token takes 95: what the order
 * number says is not said again, and what the key says (bucket, phase, person) is not said at all.
 *
 *   person  = the act id, big-endian, as few bytes as it takes
 *   win     = u8 n | u48 sequence | u16 leaf index | suffix (n bytes)
 *   pending = win | u8 status | u8 m | rest (m bytes)
 *   suffix  = the order number without act id and first underscore
 *   rest    = app | amount in fen | drawn at in ms | slice | epoch | index | campaign [| "_" | instead of scene]
 *             each number as a varint (7 bits a byte, low bits first)
 */

const BYTES_OF_AN_ORDER_MAX = 512;

/** Writes the packed arguments of one call; takes as many orders as there are. */
export class PackedOrders {
  private buffer: Buffer;
  private at = 0;

  constructor(orders: number) {
    this.buffer = Buffer.allocUnsafe(Math.min(orders * 96, 1 << 16) + BYTES_OF_AN_ORDER_MAX);
  }

  /** For `record`: person and pending entry. */
  addEntry(order: Order, position: LogPosition): void {
    this.room();
    this.person(order.actId);
    const suffix = suffixOf(order);
    this.at = this.buffer.writeUInt8(suffix.length, this.at);
    this.at = this.buffer.writeUIntBE(position.sequence, this.at, 6);
    this.at = this.buffer.writeUInt16BE(position.leafIndex, this.at);
    this.ascii(suffix);
    this.at = this.buffer.writeUInt8(TOKEN_STATUS.outstanding, this.at);
    const lengthAt = this.at;
    this.at += 1;
    this.varint(order.appId);
    this.varint(Number(order.amountFen));
    this.varint(order.drawnAtMs);
    this.varint(order.unit.sliceId);
    this.varint(order.unit.epoch);
    this.varint(order.unit.index);
    this.ascii(order.insteadOf === undefined ? order.campaignId : `${order.campaignId}_${order.insteadOf}`);
    this.buffer[lengthAt] = this.at - lengthAt - 1;
  }

  /** For `advance`: person and order number. */
  addNumber(order: Order): void {
    this.room();
    this.person(order.actId);
    const suffix = suffixOf(order);
    this.at = this.buffer.writeUInt8(suffix.length, this.at);
    this.ascii(suffix);
  }

  bytes(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  private person(actId: ActId): void {
    const bytes = personBytes(actId);
    this.buffer[this.at++] = bytes.length;
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  private ascii(text: string): void {
    this.at += this.buffer.write(text, this.at, 'latin1');
  }

  private varint(value: number | bigint): void {
    if (typeof value === 'bigint' && value > BigInt(Number.MAX_SAFE_INTEGER)) {
      let rest = value;
      for (; rest > 0x7fn; rest >>= 7n) this.buffer[this.at++] = Number(rest & 0x7fn) | 0x80;
      this.buffer[this.at++] = Number(rest);
      return;
    }
    let rest = Number(value);
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) this.buffer[this.at++] = (rest % 0x80) | 0x80;
    this.buffer[this.at++] = rest;
  }

  private room(): void {
    if (this.at + BYTES_OF_AN_ORDER_MAX <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(this.buffer.length * 2 + BYTES_OF_AN_ORDER_MAX);
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }
}

const suffixOf = (order: Order): string => order.orderNumber.slice(order.orderNumber.indexOf('_') + 1);

/** The hash field of a person. */
export function personBytes(actId: ActId): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(actId);
  let first = 0;
  while (bytes[first] === 0) first += 1;
  return bytes.subarray(first);
}

export const personOf = (field: Buffer): ActId => BigInt(`0x${field.toString('hex')}`) as ActId;

/** All entries of a person's pending value, oldest first. Throws a plain Error for bytes that no book wrote. */
export function decodePending(value: Buffer, actId: ActId, phaseKey: PhaseKey): BookEntry[] {
  const reader = new Reader(value);
  const entries: BookEntry[] = [];
  while (!reader.done) {
    const { orderNumber, parts, position } = readHead(reader, actId);
    const status = reader.uint(1) as TokenStatus;
    const rest = new Reader(reader.bytes(reader.uint(1)));
    const order: Order = {
      orderNumber,
      appId: Number(rest.varint()) as AppId,
      actId,
      phaseId: parts.stage,
      phaseKey,
      sceneId: parts.sceneId,
      rainId: parts.rainId,
      awardType: parts.awardType,
      amountFen: rest.varint() as Fen,
      drawnAtMs: instantMs(Number(rest.varint())),
      unit: {
        sliceId: rest.varint() as SliceId,
        epoch: Number(rest.varint()),
        index: Number(rest.varint()),
      },
      ...campaignOf(rest.remainder()),
    };
    if (order.amountFen === 0n && isMoney(order.awardType)) throw unreadable();
    entries.push({ order, position, status });
  }
  return entries;
}

/** All wins of a person's value, oldest first. */
export function decodeWins(value: Buffer, actId: ActId): Win[] {
  const reader = new Reader(value);
  const wins: Win[] = [];
  while (!reader.done) {
    const { orderNumber, parts, position } = readHead(reader, actId);
    wins.push({ orderNumber, sceneId: parts.sceneId, rainId: parts.rainId, position });
  }
  return wins;
}

function readHead(
  reader: Reader,
  actId: ActId,
): { orderNumber: OrderNumber; parts: OrderNumberParts; position: LogPosition } {
  const length = reader.uint(1);
  const position = { sequence: reader.uint(6), leafIndex: reader.uint(2) };
  const orderNumber = `${actId}_${reader.bytes(length).toString('latin1')}` as OrderNumber;
  const parts = parseOrderNumber(orderNumber);
  if (!parts) throw unreadable();
  return { orderNumber, parts, position };
}

function campaignOf(bytes: Buffer): Pick<Order, 'campaignId' | 'insteadOf'> {
  const [campaign, asked, ...rest] = bytes.toString('latin1').split('_');
  const campaignId = parseCampaignId(campaign);
  if (!campaignId || rest.length > 0) throw unreadable();
  if (asked === undefined) return { campaignId };
  const insteadOf = parseSceneId(asked);
  if (!insteadOf) throw unreadable();
  return { campaignId, insteadOf };
}

const unreadable = (): Error => new Error('the book holds bytes that it can not have written');

class Reader {
  private at = 0;

  constructor(private readonly buffer: Buffer) {}

  get done(): boolean {
    return this.at === this.buffer.length;
  }

  uint(length: 1 | 2 | 6): number {
    if (this.at + length > this.buffer.length) throw unreadable();
    this.at += length;
    return this.buffer.readUIntBE(this.at - length, length);
  }

  bytes(length: number): Buffer {
    if (this.at + length > this.buffer.length) throw unreadable();
    this.at += length;
    return this.buffer.subarray(this.at - length, this.at);
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.uint(1);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw unreadable();
  }

  remainder(): Buffer {
    return this.bytes(this.buffer.length - this.at);
  }
}
