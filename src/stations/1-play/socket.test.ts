import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, it } from 'vitest';
import { testClock } from '../../../test/support/rig.ts';
import { attachPlaySocket, type PlaySocketDeps } from './socket.ts';

const UPGRADE = [
  'GET /v1/play HTTP/1.1',
  'Host: gateway',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: hongbao.v1',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
].join('\r\n');

it('lets go of a phone that is out of reach when the gateway leaves, long before the protocol would', async () => {
  const server = createServer();
  const deps = { clock: testClock(), throttle: () => ({ level: 0 }) } as unknown as PlaySocketDeps;
  const play = attachPlaySocket(server, deps);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const phone = connect((server.address() as AddressInfo).port, '127.0.0.1');
  phone.write(`${UPGRADE}\r\n\r\n`);
  await once(phone, 'data');
  expect(play.connections()).toBe(1);

  // It never answers that the gateway leaves: `ws` alone waits half a minute for it.
  const startedMs = performance.now();
  await play.close();
  server.close();
  await once(server, 'close');
  expect(performance.now() - startedMs).toBeLessThan(20_000);
  phone.destroy();
});

it('takes nothing that comes behind its goodbye: what it dealt now nobody would hear of', async () => {
  const server = createServer();
  let heard = 0;
  const deps = {
    clock: testClock(),
    throttle: () => ({ level: 0 }),
    onProblem: () => {
      heard += 1;
    },
  } as unknown as PlaySocketDeps;
  const play = attachPlaySocket(server, deps);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const phone = connect((server.address() as AddressInfo).port, '127.0.0.1');
  phone.write(`${UPGRADE}\r\n\r\n`);
  await once(phone, 'data');
  // A text of one letter, masked with zeros: refused, and so noticed, when it is heard.
  const frame = Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x61]);
  phone.write(frame);
  await once(phone, 'data');
  expect(heard).toBe(1);

  await play.close();
  phone.resume().write(frame);
  server.close();
  await once(server, 'close');
  expect(heard).toBe(1);
  phone.destroy();
});
