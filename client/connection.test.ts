import { describe, expect, it, vi } from 'vitest';
import type { ConnectionState } from './connection.ts';
import { unsignedJwt } from './testing/jwt.ts';
import { settle } from './testing/manual-time.ts';
import { ANSWER_WITHIN_MS, scriptedConnection } from './testing/scripted-connection.ts';
import {
  aShake,
  goodbye,
  nothing,
  problemFrame,
  type ScriptedSocket,
  throttleFrame,
  welcome,
} from './testing/scripted-sockets.ts';

/** Good for ever, as far as the phone can tell. */
const sessionNo = (number: number): string => unsignedJwt({ jti: number, exp: 9e9 });

/** A connection, its sockets and its time; sessions are no. 1, 2, … unless they are handed in. */
function start(options: { session?: () => Promise<string>; random?: number } = {}) {
  const states: ConnectionState[] = [];
  const throttles: number[] = [];
  const onServerTime = vi.fn();
  let number = 0;
  const fetch = vi.fn(options.session ?? (async () => sessionNo(++number)));
  const { time, sockets, connection } = scriptedConnection(fetch, {
    random: () => options.random ?? 0.5,
    onState: (state) => states.push(state),
    onThrottle: (throttle) => throttles.push(throttle.level),
    onServerTime,
  });
  /** Accepts the newest socket and welcomes it. */
  const greet = async (): Promise<ScriptedSocket> => {
    await settle();
    const socket = sockets.last();
    socket.accept();
    await settle();
    socket.say(socket.heard.at(-1)!.requestId, welcome(123));
    await settle();
    return socket;
  };
  const live = async () => {
    const connected = connection.connect();
    const socket = await greet();
    await connected;
    return socket;
  };
  return { time, sockets, states, throttles, onServerTime, fetch, connection, greet, live };
}
const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: { code?: string }) => error.code ?? `${error}`,
  );

describe('connecting', () => {
  it('says hello with a session and the campaign, and is open with the welcome', async () => {
    const { live, states, throttles, onServerTime, connection } = start();
    const socket = await live();
    expect(socket.binaryType).toBe('arraybuffer');
    expect(socket.heard[0]!.body).toMatchObject({
      case: 'hello',
      value: { session: sessionNo(1), campaignId: 'gala' },
    });
    expect(states).toEqual(['connecting', 'open']);
    expect(throttles).toEqual([0]);
    expect(onServerTime).toHaveBeenCalledWith(123);
    await connection.connect();
  });

  it('dials once for all who ask', async () => {
    const { connection, greet, sockets } = start();
    const both = Promise.all([connection.connect(), connection.connect()]);
    await greet();
    await both;
    expect(sockets.all).toHaveLength(1);
  });

  it('comes back, once, when the socket closes during hello', async () => {
    const { connection, sockets, states, time } = start();
    const said = outcome(connection.connect());
    await settle();
    sockets.last().accept();
    await settle();
    sockets.last().hangUp();
    expect(await said).toBe('unreachable');
    expect(states).toEqual(['connecting', 'waiting']);
    expect(time.pendingMs()).toHaveLength(1);
    await time.advance(1_500);
    expect(sockets.all).toHaveLength(2);
  });

  it('gives up on a socket that never opens, and on a hello that is never answered', async () => {
    const { connection, sockets, time, states } = start();
    const first = outcome(connection.connect());
    await time.advance(ANSWER_WITHIN_MS);
    expect(await first).toBe('unreachable');
    await time.advance(1_500);
    expect(sockets.all).toHaveLength(2);
    sockets.last().accept();
    await time.advance(ANSWER_WITHIN_MS);
    expect(sockets.all[1]!.closedWith).toBe(1000);
    expect(states).toEqual(['connecting', 'waiting', 'connecting', 'waiting']);
  });

  it('waits longer from failure to failure, at random, and begins anew after a welcome', async () => {
    const { connection, sockets, time, greet } = start({ random: 0.5 });
    connection.connect().catch(() => {});
    const pauses: number[] = [];
    for (let failures = 0; failures < 7; failures += 1) {
      await settle();
      sockets.last().hangUp();
      await settle();
      pauses.push(time.pendingMs()[0]!);
      await time.advance(time.pendingMs()[0]!);
    }
    expect(pauses).toEqual([1_500, 3_000, 6_000, 12_000, 24_000, 30_000, 30_000]);
    const socket = await greet();
    socket.hangUp();
    await settle();
    expect(time.pendingMs()).toEqual([1_500]);
  });

  it('takes a breath before every return, also when chance says at once', async () => {
    const { connection, fetch, time } = start({
      session: () => Promise.reject(new Error('down')),
      random: 0,
    });
    connection.connect().catch(() => {});
    await settle();
    expect(fetch).toHaveBeenCalledTimes(1);
    expect(time.pendingMs()).toEqual([250]);
    await time.advance(250);
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  it('leaves no connection behind when it is closed while the session is on its way', async () => {
    let give = (_: string): void => {};
    const { connection, sockets, states, time } = start({
      session: () =>
        new Promise((resolve) => {
          give = resolve;
        }),
    });
    const said = outcome(connection.connect());
    connection.close();
    give('late');
    expect(await said).toBe('closed');
    await time.advance(100_000);
    expect(sockets.all).toHaveLength(0);
    expect(states).toEqual(['connecting', 'closed']);
  });

  it.each(['dialling', 'in hello', 'open', 'waiting'])(
    'stays closed when it is closed while %s',
    async (when) => {
      const { connection, sockets, time, states } = start();
      connection.connect().catch(() => {});
      await settle();
      if (when !== 'dialling') sockets.last().accept();
      await settle();
      if (when === 'open') sockets.last().say(1, welcome());
      if (when === 'waiting') sockets.last().hangUp();
      await settle();
      connection.close();
      sockets.last().hangUp();
      await time.advance(100_000);
      expect(sockets.all).toHaveLength(1);
      expect(sockets.last().closedWith).toBe(1000);
      expect(states.at(-1)).toBe('closed');
      expect(states.filter((state) => state === 'closed')).toHaveLength(1);
    },
  );

  it('may be opened again after it was closed', async () => {
    const { connection, live, greet } = start();
    await live();
    connection.close();
    const again = connection.connect();
    await greet();
    await again;
  });
});

describe('a session that has ended', () => {
  it('is replaced by a fresh one when hello is refused, at once', async () => {
    const { connection, greet, sockets, states, time } = start();
    const connected = connection.connect();
    await settle();
    sockets.last().accept();
    await settle();
    sockets.last().say(1, problemFrame('session-expired'));
    const socket = await greet();
    await connected;
    expect(socket.heard[0]!.body).toMatchObject({ value: { session: sessionNo(2) } });
    expect(states).toEqual(['connecting', 'open']);
    expect(time.pendingMs()).toEqual([]);
  });

  it('is replaced also when it has ended before the connection comes back', async () => {
    const { live, time, sockets, greet } = start();
    (await live()).hangUp();
    await time.advance(1_500);
    sockets.last().accept();
    await settle();
    sockets.last().say(1, problemFrame('session-expired'));
    const socket = await greet();
    expect(socket.heard[0]!.body).toMatchObject({ value: { session: sessionNo(2) } });
  });

  it('is not said again and again: a backend that gives the same one is refused', async () => {
    const { connection, sockets, states, time } = start({ session: async () => 'same' });
    const said = outcome(connection.connect());
    await settle();
    sockets.last().accept();
    await settle();
    sockets.last().say(1, problemFrame('session-expired'));
    expect(await said).toBe('session-expired');
    await time.advance(100_000);
    expect(sockets.all).toHaveLength(1);
    expect(states).toEqual(['connecting', 'refused']);
  });

  it('is replaced while the connection lives, and what was asked is asked again', async () => {
    const { live, connection, greet, states } = start();
    const socket = await live();
    const answer = connection.request(aShake);
    await settle();
    socket.say(2, problemFrame('session-expired'));
    const second = await greet();
    expect(socket.closedWith).toBe(1000);
    expect(second.heard.map(({ body }) => body.case)).toEqual(['hello', 'shake']);
    expect(second.heard[0]!.body).toMatchObject({ value: { session: sessionNo(2) } });
    second.say(2, nothing);
    expect((await answer).case).toBe('shakeResult');
    expect(states).toEqual(['connecting', 'open', 'connecting', 'open']);
  });

  it('is replaced once for two that asked at the same time', async () => {
    const { live, connection, greet, sockets } = start();
    const socket = await live();
    const both = Promise.all([connection.request(aShake), connection.request(aShake)]);
    await settle();
    socket.say(2, problemFrame('session-expired'));
    socket.say(3, problemFrame('session-expired'));
    const second = await greet();
    second.say(2, nothing);
    second.say(3, nothing);
    await both;
    expect(sockets.all).toHaveLength(2);
  });
});

describe('a refusal that no waiting will change', () => {
  it.each(['session-invalid', 'campaign-unknown', 'forbidden'] as const)(
    '(%s) is told, and nothing is tried before somebody asks',
    async (kind) => {
      const { connection, sockets, states, time, greet } = start();
      const said = outcome(connection.connect());
      await settle();
      sockets.last().accept();
      await settle();
      sockets.last().say(1, problemFrame(kind));
      expect(await said).toBe(kind);
      await time.advance(600_000);
      expect(sockets.all).toHaveLength(1);
      expect(states).toEqual(['connecting', 'refused']);
      const again = connection.connect();
      await greet();
      await again;
    },
  );

  it('is told apart from one that waiting may change', async () => {
    const { connection, sockets, states } = start();
    const said = outcome(connection.connect());
    await settle();
    sockets.last().accept();
    await settle();
    sockets.last().say(1, problemFrame('overloaded'));
    expect(await said).toBe('overloaded');
    expect(states).toEqual(['connecting', 'waiting']);
  });
});

describe('requests', () => {
  it('find their answers by id, in any order', async () => {
    const { live, connection } = start();
    const socket = await live();
    const [one, two] = [connection.request(aShake), outcome(connection.request(aShake))];
    await settle();
    socket.say(3, problemFrame('throttled'));
    socket.say(2, nothing);
    expect((await one).case).toBe('shakeResult');
    expect(await two).toBe('throttled');
  });

  it('are not troubled by frames that nobody asked for or can read', async () => {
    const { live, connection, throttles } = start();
    const socket = await live();
    const answer = connection.request(aShake);
    await settle();
    for (const rubbish of ['text', new Uint8Array([255, 255]).buffer, new ArrayBuffer(0), undefined])
      socket.sayBytes(rubbish);
    socket.say(99, nothing);
    socket.say(0, problemFrame('malformed'));
    socket.say(0, { case: 'throttle', value: throttleFrame(2, 20_000) });
    socket.say(2, nothing);
    await answer;
    expect(throttles).toEqual([0, 2]);
  });

  it('are told at once when the connection is lost, and the next ones wait for its return', async () => {
    const { live, connection, time, greet, sockets } = start();
    const socket = await live();
    const first = outcome(connection.request(aShake));
    await settle();
    socket.hangUp();
    expect(await first).toBe('unreachable');
    const second = connection.request(aShake);
    await settle();
    expect(sockets.all).toHaveLength(1);
    await time.advance(1_500);
    (await greet()).say(2, nothing);
    expect((await second).case).toBe('shakeResult');
  });

  it('do not wait for a return longer than for an answer', async () => {
    const { live, connection, time } = start({ random: 0.99 });
    const socket = await live();
    socket.say(0, goodbye(20_000, 0));
    socket.hangUp(1001);
    await settle();
    const said = outcome(connection.request(aShake));
    await time.advance(ANSWER_WITHIN_MS);
    expect(await said).toBe('unreachable');
  });

  it('replace a connection that is silent: asked, and no word since', async () => {
    const { live, connection, time, states, sockets } = start();
    const socket = await live();
    const said = outcome(connection.request(aShake));
    await time.advance(ANSWER_WITHIN_MS);
    expect(await said).toBe('time-out');
    expect(socket.closedWith).toBe(1000);
    expect(states.at(-1)).toBe('waiting');
    await time.advance(1_500);
    expect(sockets.all).toHaveLength(2);
    // Its close comes minutes later, and means nothing any more.
    socket.hangUp();
    await settle();
    expect(sockets.all).toHaveLength(2);
  });

  it('keep a connection that is slow with one but has answered another', async () => {
    const { live, connection, time, states } = start();
    const socket = await live();
    const slow = outcome(connection.request(aShake));
    const quick = connection.request(aShake);
    await settle();
    socket.say(3, nothing);
    await quick;
    await time.advance(ANSWER_WITHIN_MS);
    expect(await slow).toBe('time-out');
    expect(states).toEqual(['connecting', 'open']);
    expect(socket.closedWith).toBeUndefined();
  });
});

describe('a server that goes away', () => {
  it.each([
    // random  pause
    [0, 500],
    [0.5, 2_000],
    [0.999, 3_497],
  ])('spreads the return as it says: at %f after %i ms', async (random, pauseMs) => {
    const { live, time, sockets } = start({ random });
    const socket = await live();
    socket.say(0, goodbye(500, 3_000));
    socket.hangUp(1001);
    await settle();
    expect(time.pendingMs()).toEqual([pauseMs]);
    await time.advance(pauseMs);
    expect(sockets.all).toHaveLength(2);
  });

  it('is given some seconds also where it says nothing but 1001', async () => {
    const { live, time } = start({ random: 0.5 });
    (await live()).hangUp(1001);
    await settle();
    expect(time.pendingMs()).toEqual([3_000]);
  });
});
