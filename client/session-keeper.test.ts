import { describe, expect, it, vi } from 'vitest';
import { HongbaoProblem } from './problem.ts';
import { createSessionKeeper, personOf } from './session-keeper.ts';
import { unsignedJwt } from './testing/jwt.ts';
import { createManualTime } from './testing/manual-time.ts';

const jwtUntil = (expMs: number, sub = 'alice', iss = 'demo') =>
  unsignedJwt({ iss, sub, exp: Math.floor(expMs / 1_000) });

function keeper(fetch: () => Promise<string>, person?: string) {
  const time = createManualTime();
  const sessions = createSessionKeeper({
    fetch,
    person,
    nowMs: time.nowMs,
    timers: time.timers,
    answerWithinMs: 1_000,
  });
  return { time, sessions };
}
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: unknown) => (error instanceof HongbaoProblem ? error.code : `${error}`),
  );

describe('a session', () => {
  it('is fetched once for all who ask, and kept until shortly before its end', async () => {
    const time = createManualTime();
    const fetch = vi.fn(async () => jwtUntil(time.nowMs() + 100_000));
    const sessions = createSessionKeeper({
      fetch,
      person: undefined,
      nowMs: time.nowMs,
      timers: time.timers,
      answerWithinMs: 1_000,
    });
    const [one, two] = await Promise.all([sessions.get(), sessions.get()]);
    expect(one).toBe(two);
    await time.advance(60_000);
    await sessions.get();
    expect(fetch).toHaveBeenCalledTimes(1);
    await time.advance(20_000);
    expect(await sessions.get()).not.toBe(one);
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  it('is fetched anew after the server refused it, but not for the sake of an older one', async () => {
    let number = 0;
    const { sessions } = keeper(async () => unsignedJwt({ iss: 'a', sub: 'b', exp: 9e9, jti: ++number }));
    const first = await sessions.get();
    sessions.drop('an older one');
    expect(await sessions.get()).toBe(first);
    sessions.drop(first);
    expect(await sessions.get()).not.toBe(first);
  });

  it('is asked for each time where it does not say when it ends', async () => {
    const fetch = vi.fn(async () => 'opaque');
    const { sessions } = keeper(fetch, 'alice');
    await sessions.get();
    await sessions.get();
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  it.each([
    ['rejects', () => Promise.reject(new Error('backend down'))],
    [
      'throws',
      () => {
        throw new Error('no backend');
      },
    ],
    ['gives nothing', async () => undefined as never],
    ['gives an empty text', async () => ''],
  ])('may come later where the app’s backend %s', async (_, fetch) => {
    const { sessions } = keeper(fetch, 'alice');
    const problem = await sessions.get().catch((error: unknown) => error);
    expect(problem).toMatchObject({ name: 'HongbaoProblem', code: 'session-unavailable', retryable: true });
  });

  it('is not waited for longer than for any answer, and the next one who asks asks again', async () => {
    const answers = [new Promise<string>(() => {}), Promise.resolve(jwtUntil(9e15))];
    const { time, sessions } = keeper(() => answers.shift()!);
    const code = codeOf(sessions.get());
    await time.advance(1_000);
    expect(await code).toBe('session-unavailable');
    expect(await codeOf(sessions.get())).toBe('none');
  });
});

describe('whose a client is', () => {
  it('is said by the session’s app and user', async () => {
    const { sessions } = keeper(async () => jwtUntil(9e15, '小明', 'app'));
    expect(await sessions.person()).toBe(JSON.stringify(['app', '小明']));
    expect(personOf(jwtUntil(0, 'x', 'y'))).not.toBe(personOf(jwtUntil(0, 'y', 'x')));
  });

  it('is said by the app where it says so, without a session', async () => {
    const { sessions } = keeper(() => Promise.reject(new Error('offline')), 'alice');
    expect(await sessions.person()).toBe('alice');
  });

  it('does not change: a session of another account is refused', async () => {
    const users = ['alice', 'bob'];
    const { sessions } = keeper(async () => jwtUntil(0, users.shift()!));
    await sessions.get();
    expect(await codeOf(sessions.get())).toBe('person-changed');
  });

  it.each([
    'opaque',
    'a.b.c',
    `a.${btoa('null')}.c`,
    unsignedJwt({ sub: 'alice' }),
    unsignedJwt({ iss: 1, sub: 2 }),
  ])('can’t be read from %s', async (session) => {
    expect(personOf(session)).toBeUndefined();
    const { sessions } = keeper(async () => session);
    expect(await codeOf(sessions.person())).toBe('session-invalid');
  });
});
