import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, it } from 'vitest';
import { quiet } from '../../../test/support/postgres.ts';
import { testClock } from '../../../test/support/rig.ts';
import { refuse } from '../../protocol/failures.ts';
import { THROTTLE_LEVELS } from '../../rules/throttle.ts';
import { attachPlaySocket, type PlaySocketDeps } from './socket.ts';

const UPGRADE =
  'GET /v1/play HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

it('a phone that no longer answers holds up nobody’s drain', async () => {
  const server = createServer();
  const sockets = attachPlaySocket(server, {
    play: {} as PlaySocketDeps['play'],
    clock: testClock(),
    logger: quiet,
    authenticate: async () => refuse('session-missing', 'nobody plays here'),
    current: (session) => session,
    campaign: () => undefined,
    throttle: () => THROTTLE_LEVELS[0]!,
    onShake: () => {},
    onProblem: () => {},
    closesWithinMs: 50,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const phone = connect((server.address() as AddressInfo).port, '127.0.0.1');
  phone.write(UPGRADE);
  await once(phone, 'data');
  expect(sockets.connections()).toBe(1);
  // It hears the goodbye, and never says its own: in a tunnel, or frozen in the background.
  phone.on('error', () => {}).resume();
  await sockets.close();
  server.close();
  await once(server, 'close');
  phone.destroy();
}, 20_000);
