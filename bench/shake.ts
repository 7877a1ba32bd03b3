import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { create, toBinary } from '@bufbuild/protobuf';
import { WebSocket } from 'ws';
import { createMac } from '../src/guard/sealbox.ts';
import { ClientFrameSchema } from '../src/protocol/gen/hongbao/v1/play_pb.ts';
import { encodeClaim } from '../src/stations/1-play/claims.ts';
import type { ActId, CampaignId, PhaseKey, SponsorId } from '../src/vocabulary/ids.ts';

export interface ShakeFigures {
  readonly shakesPerSecondPerCore: number;
  readonly echoesPerSecondPerCore: number;
  /** Frames that a core of the server handles, by the CPU time it spent: ours over bare ws, the same frames. */
  readonly shakeOverBareWs: number;
}

const CONNECTIONS = 100;
const UNDER_WAY = 16;
const WARM_MS = 1_000;
const RUN_MS = 3_000;

/** The frame that a phone with one packet in its pocket sends again and again. */
function shakeFrame(person: number): Uint8Array {
  const claimRecord = encodeClaim(
    createMac(Buffer.alloc(32, 2), 'hongbao.claim.v1'),
    { campaignId: 'gala' as CampaignId, phaseKey: 3 as PhaseKey, actId: BigInt(1_000_000 + person) as ActId },
    { packets: 1, sponsors: ['panda-bank' as SponsorId] },
  ) as Uint8Array<ArrayBuffer>;
  return toBinary(
    ClientFrameSchema,
    create(ClientFrameSchema, { requestId: 7, body: { case: 'shake', value: { claimRecord, shakes: 37 } } }),
  );
}

const helloFrame = toBinary(
  ClientFrameSchema,
  create(ClientFrameSchema, {
    requestId: 1,
    body: { case: 'hello', value: { session: 'bench', campaignId: 'gala' } },
  }),
);

async function measure(mode: 'echo' | 'shake'): Promise<number> {
  const child = spawn(process.execPath, ['tools/run.mjs', 'bench/shake-server.ts', mode], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextNumber = async () => Number((await lines.next()).value);
  const port = await nextNumber();
  const cpuUs = async () => {
    child.stdin.write('\n');
    return nextNumber();
  };
  let answered = 0;
  // One after another, so that the server's n-th person is the owner of the n-th claim record.
  const sockets: WebSocket[] = [];
  for (let person = 0; person < CONNECTIONS; person += 1) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/play`, ['hongbao.v1'], {
      perMessageDeflate: false,
    });
    await new Promise((resolve) => socket.once('open', resolve));
    if (mode === 'shake') {
      const welcomed = new Promise((resolve) => socket.once('message', resolve));
      socket.send(helloFrame);
      await welcomed;
    }
    const frame = shakeFrame(person);
    socket.on('message', () => {
      answered += 1;
      socket.send(frame, { binary: true, compress: false });
    });
    for (let at = 0; at < UNDER_WAY; at += 1) socket.send(frame);
    sockets.push(socket);
  }
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  await wait(WARM_MS);
  const [cpuBefore, before] = [await cpuUs(), answered];
  await wait(RUN_MS);
  const [cpuAfter, after] = [await cpuUs(), answered];
  for (const socket of sockets) socket.terminate();
  child.stdin.end();
  return ((after - before) / (cpuAfter - cpuBefore)) * 1e6;
}

export async function benchShake(): Promise<ShakeFigures> {
  const runs: { echo: number; shake: number }[] = [];
  for (let run = 0; run < 3; run += 1)
    runs.push({ echo: await measure('echo'), shake: await measure('shake') });
  const [, middle] = runs.sort((a, b) => a.shake / a.echo - b.shake / b.echo);
  return {
    shakesPerSecondPerCore: middle!.shake,
    echoesPerSecondPerCore: middle!.echo,
    shakeOverBareWs: middle!.shake / middle!.echo,
  };
}
