import fc from 'fast-check';
import { expect, it } from 'vitest';
import { HongbaoProblem } from './problem.ts';
import { settle } from './testing/manual-time.ts';
import { ANSWER_WITHIN_MS, scriptedConnection } from './testing/scripted-connection.ts';
import {
  aShake,
  goodbye,
  nothing,
  problemFrame,
  type ScriptedSocket,
  welcome,
} from './testing/scripted-sockets.ts';

/** What may happen, to the newest socket where it concerns one. */
const ACTS = [
  'connect',
  'request',
  'close',
  'accept',
  'answer',
  'refuse for load',
  'session expired',
  'refuse for good',
  'hang up',
  'go away',
  'rubbish',
  'backend down',
  'backend up',
  'a moment',
  'a while',
] as const;
type Act = (typeof ACTS)[number];

const RUNS = 120;
/** Longer than the longest pause. */
const FINDS_BACK_WITHIN_MS = 180_000;
const STEP_MS = 500;

function arrange(draw: number) {
  const hungUp = new Set<ScriptedSocket>();
  const unforeseen: unknown[] = [];
  let isBackendUp = true;
  let number = 0;
  let open = 0;
  const session = async () => {
    if (!isBackendUp) throw new Error('down');
    return `s${++number}`;
  };
  const { time, sockets, connection } = scriptedConnection(session, { random: () => draw });
  const track = (promise: Promise<unknown>): void => {
    open += 1;
    promise
      .catch((error: unknown) => {
        if (!(error instanceof HongbaoProblem)) unforeseen.push(error);
      })
      .finally(() => {
        open -= 1;
      });
  };
  const isAlive = (socket: ScriptedSocket) => !hungUp.has(socket) && socket.closedWith === undefined;
  const last = () => sockets.all.filter(isAlive).at(-1);
  const hangUp = (code: number) => {
    const socket = last();
    if (!socket) return;
    hungUp.add(socket);
    socket.hangUp(code);
  };
  const reply = (say: (socket: ScriptedSocket, id: number, isHello: boolean) => void) => {
    const socket = last();
    const frame = socket?.heard.at(-1);
    if (socket && frame) say(socket, frame.requestId, frame.body.case === 'hello');
  };
  const acts: Record<Act, () => void | Promise<void>> = {
    connect: () => track(connection.connect()),
    request: () => track(connection.request(aShake)),
    close: () => connection.close(),
    accept: () => {
      const socket = last();
      if (socket?.readyState === 0) socket.accept();
    },
    answer: () => reply((socket, id, isHello) => socket.say(id, isHello ? welcome() : nothing)),
    'refuse for load': () => reply((socket, id) => socket.say(id, problemFrame('overloaded'))),
    'session expired': () => reply((socket, id) => socket.say(id, problemFrame('session-expired'))),
    'refuse for good': () => reply((socket, id) => socket.say(id, problemFrame('campaign-unknown'))),
    'hang up': () => hangUp(1006),
    'go away': () => {
      last()?.say(0, goodbye(500, 3_000));
      hangUp(1001);
    },
    rubbish: () => last()?.sayBytes(new Uint8Array([255, 1, 2]).buffer),
    'backend down': () => {
      isBackendUp = false;
    },
    'backend up': () => {
      isBackendUp = true;
    },
    'a moment': () => time.advance(700),
    'a while': () => time.advance(30_000),
  };
  return {
    time,
    connection,
    unforeseen,
    act: async (name: Act) => {
      await acts[name]();
      await settle();
    },
    /** The server is well again: whoever asks is answered. */
    async findBack() {
      isBackendUp = true;
      let isConnected = false;
      const endMs = time.nowMs() + FINDS_BACK_WITHIN_MS;
      while (!isConnected && time.nowMs() < endMs) {
        const attempt = connection.connect().then(
          () => 'open',
          () => 'failed',
        );
        let end: string | undefined;
        void attempt.then((how) => {
          end = how;
        });
        while (end === undefined && time.nowMs() < endMs) {
          await settle();
          await acts.accept();
          await settle();
          await acts.answer();
          await settle();
          if (end === undefined) await time.advance(STEP_MS);
        }
        isConnected = end === 'open';
      }
      expect(isConnected, 'no way back').toBe(true);
    },
    alive: () => sockets.all.filter(isAlive),
    open: () => open,
  };
}

it('has one socket at most, answers everybody, leaves nothing behind, and finds back, whatever happens', async () => {
  // fast-check prints the seed and the shortest failing sequence; { seed, path } beside numRuns repeats it.
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...ACTS), { maxLength: 40 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      async (script, draw) => {
        const world = arrange(draw);
        for (const name of script) {
          await world.act(name);
          expect(world.alive().length, name).toBeLessThanOrEqual(1);
        }
        await world.findBack();
        expect(world.alive(), 'not connected').toHaveLength(1);
        // What was asked during the chaos has had its time.
        await world.time.advance(4 * ANSWER_WITHIN_MS);
        expect(world.open(), 'somebody still waits').toBe(0);
        await world.act('close');
        await world.time.advance(3_600_000);
        expect(world.alive()).toEqual([]);
        expect(world.time.pendingMs()).toEqual([]);
        expect(world.unforeseen).toEqual([]);
      },
    ),
    { numRuns: RUNS },
  );
});
