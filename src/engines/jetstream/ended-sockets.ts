import type { NatsConnection } from '@nats-io/transport-node';

/** What we know of the client's own transport; it exports none of it. */
interface Transport {
  _send(frame: Uint8Array): Promise<void>;
  readonly socket?: { readonly writableEnded: boolean };
}

const mended = new WeakSet<Transport>();

/**
 * Mends the client (3.3): when a server leaves at the very moment at which the connection is closed, it writes what
 * is left to a socket that it has ended itself, and whose listeners it has taken off by then. That error would end the
 * process. Nothing of it could arrive: whoever waits for an answer runs into his deadline, as with any lost connection.
 */
export function spareEndedSockets(nc: NatsConnection): void {
  const { transport } = (nc as unknown as { protocol: { transport: Transport } }).protocol;
  const kind = Object.getPrototypeOf(transport) as Transport;
  if (mended.has(kind)) return;
  mended.add(kind);
  const { _send: send } = kind;
  kind._send = function (this: Transport, frame) {
    return this.socket?.writableEnded ? Promise.resolve() : send.call(this, frame);
  };
}
