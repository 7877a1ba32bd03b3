import type { Sealbox } from '../../guard/sealbox.ts';
import { decodeToken, encodeToken } from '../../protocol/token-codec.ts';
import { type InstantMs, instantMs } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';

/** A packet that a person may open: the order that it will become, sealed, and until when. */
export interface Ticket {
  readonly order: Order;
  readonly expiresAtMs: InstantMs;
}

const TICKET_BYTES_MAX = 1_024;

export function sealTicket(box: Sealbox, ticket: Ticket): Buffer {
  const expiry = Buffer.alloc(8);
  expiry.writeBigUInt64BE(BigInt(ticket.expiresAtMs));
  return box.seal(Buffer.concat([expiry, encodeToken(ticket.order)]));
}

/** Undefined for whatever this engine did not seal. */
export function openTicket(box: Sealbox, bytes: Uint8Array): Ticket | undefined {
  if (bytes.length > TICKET_BYTES_MAX) return undefined;
  const plain = box.open(bytes);
  const order = plain && plain.length > 8 ? decodeToken(plain.subarray(8)) : undefined;
  return plain && order ? { order, expiresAtMs: instantMs(Number(plain.readBigUInt64BE(0))) } : undefined;
}
