// The server of the shake bench, in a process of its own: `echo` is bare ws, `shake` is the gateway's play socket with
// the real decision behind it. Prints its port; answers each line on its input with its CPU time so far, in µs.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import pino from 'pino';
import { WebSocketServer } from 'ws';
import { compileCampaign } from '../src/campaign/compile.ts';
import { readCampaign } from '../src/campaign/read.ts';
import { createTokenBook } from '../src/engines/embedded/token-book.ts';
import { createMac, createSealbox } from '../src/guard/sealbox.ts';
import { refuse } from '../src/protocol/failures.ts';
import { THROTTLE_LEVELS } from '../src/rules/throttle.ts';
import { createPlay } from '../src/stations/1-play/play.ts';
import { attachPlaySocket } from '../src/stations/1-play/socket.ts';
import type { ActId, AppId, PhaseId, PhaseKey } from '../src/vocabulary/ids.ts';
import { type Clock, instantMs } from '../src/vocabulary/instant.ts';
import { NOBODY_KNOWS } from '../test/support/credited-wins.ts';

const clock: Clock = { now: () => instantMs(Date.now()), monotonicMs: () => performance.now() };
const server = createServer();

if (process.argv[2] === 'echo') {
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) =>
    socket.on('message', (data) => socket.send(data as Buffer, { binary: true, compress: false })),
  );
} else {
  const read = readCampaign(readFileSync('examples/gala.yaml', 'utf8'));
  if (!('draft' in read)) throw new Error('examples/gala.yaml has mistakes');
  const phaseKeys = new Map(
    read.draft.phases.map((phase, at) => [phase.id as PhaseId, (at + 1) as PhaseKey]),
  );
  const campaign = compileCampaign(read.draft, { version: 1, contentHash: '', phaseKeys });
  const play = createPlay({
    // A night deals fifty thousand packets to ten million shakes: the common answer is none.
    dealer: { start: () => {}, stop: async () => {}, maintain: async () => {}, deal: () => undefined },
    book: createTokenBook(),
    creditedWins: NOBODY_KNOWS,
    tickets: createSealbox(Buffer.alloc(32, 1), 'bench'),
    claims: createMac(Buffer.alloc(32, 2), 'hongbao.claim.v1'),
    clock,
    random: Math.random,
    grant: async () => refuse('internal', 'not in this bench'),
    granted: async () => undefined,
  });
  let person = 1_000_000n;
  attachPlaySocket(server, {
    play,
    clock,
    logger: pino({ level: 'silent' }),
    authenticate: async () => {
      const actId = person++ as ActId;
      const expiresAtMs = Number.MAX_SAFE_INTEGER;
      return { appId: 1 as AppId, actId, aliases: [], given: actId, asOf: 0, expiresAtMs };
    },
    current: (session) => session,
    campaign: () => campaign,
    throttle: () => THROTTLE_LEVELS[0]!,
    onShake: () => {},
    onProblem: () => {},
    requestsLimited: false,
  });
}

server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as { port: number }).port}\n`));
process.stdin.on('data', () => {
  const { user, system } = process.cpuUsage();
  process.stdout.write(`${user + system}\n`);
});
process.stdin.on('end', () => process.exit(0));
