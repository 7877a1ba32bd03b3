/**
 * Loaded into a process by NODE_OPTIONS: it dials everything on this machine from the address in DIAL_FROM, so that a
 * proxy can tell who is calling (TcpProxy.from), and one process alone can be cut off.
 */
import net from 'node:net';

const { connect } = net.Socket.prototype;
net.Socket.prototype.connect = function connectFrom(...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (options?.port && options.host === '127.0.0.1') options.localAddress ??= process.env.DIAL_FROM;
  return connect.apply(this, args);
};
