import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApp } from '../processes/gateway/app.ts';
import type { ActId, AppId } from '../vocabulary/ids.ts';
import { type Clock, instantMs } from '../vocabulary/instant.ts';
import { aloneAs } from '../vocabulary/person.ts';
import { demoRoutes, demoSessionKey } from './demo-sessions.ts';
import type { Identities } from './player.ts';
import { createSessions } from './sessions.ts';

const everybodyIs = (actId: ActId): Identities => ({
  find: async () => actId,
  person: async () => aloneAs(actId),
  remembered: () => aloneAs(actId),
  changes: () => 0,
});
const clock: Clock = { now: () => instantMs(1_800_000_000_000), monotonicMs: () => 0 };
const secret = Buffer.alloc(32, 3);
const key = demoSessionKey({ id: 1 as AppId, name: 'demo' }, secret);
const newsKey = demoSessionKey({ id: 2 as AppId, name: 'news' }, secret);
let app: ReturnType<typeof createApp>;

beforeEach(async () => {
  app = createApp({ logger: pino({ level: 'silent' }), onProblem: () => {} });
  await app.register(demoRoutes, { keys: [key, newsKey], secret, clock });
});
afterEach(() => app.close());

const ask = (
  options: { host?: string; origin?: string; from?: string; user?: unknown; more?: object } = {},
) =>
  app.inject({
    method: 'POST',
    url: '/demo/v1/sessions',
    remoteAddress: options.from ?? '127.0.0.1',
    headers: {
      host: options.host ?? 'localhost:8080',
      ...(options.origin === undefined ? {} : { origin: options.origin }),
    },
    payload: { user: 'user' in options ? options.user : 'alice', ...options.more } as object,
  });

describe('a demo session', () => {
  it('is a session that the engine takes', async () => {
    const answer = (await ask()).json<{ session: string; user: string; expiresAtMs: number }>();
    const sessions = createSessions({
      keys: [key],
      clock,
      identities: everybodyIs(1n as ActId),
    });
    expect(await sessions.authenticate(answer.session)).toEqual({
      appId: 1,
      actId: 1n,
      aliases: [],
      given: 1n,
      asOf: 0,
      expiresAtMs: answer.expiresAtMs,
    });
  });

  it('is of the app that is asked for, with the phone number that is', async () => {
    const phones: unknown[] = [];
    const find: Identities['find'] = async (appId, _, phone) => {
      phones.push([appId, phone]);
      return 1n as ActId;
    };
    const identities = { ...everybodyIs(1n as ActId), find };
    const sessions = createSessions({ keys: [key, newsKey], clock, identities });
    const answer = await ask({ more: { app: 'news', phone: '+86 138 0013 8000' } });
    expect(await sessions.authenticate(answer.json<{ session: string }>().session)).toMatchObject({
      appId: 2,
    });
    expect(phones).toEqual([[2, '+8613800138000']]);
    expect((await ask({ more: { app: 'radio' } })).statusCode).toBe(400);
  });

  it('is nothing to an engine with another data folder’s key', async () => {
    const { session } = (await ask()).json<{ session: string }>();
    const other = demoSessionKey({ id: 1 as AppId, name: 'demo' }, Buffer.alloc(32, 4));
    const sessions = createSessions({
      keys: [other],
      clock,
      identities: everybodyIs(1n as ActId),
    });
    expect(await sessions.authenticate(session)).toMatchObject({ refused: 'session-invalid' });
  });

  it.each([
    ['the loopback name', { host: 'localhost' }, 200],
    ['IPv4 loopback', { host: '127.0.0.1:8080', from: '127.0.0.1' }, 200],
    ['IPv6 loopback', { host: '[::1]:8080', from: '::1' }, 200],
    ['mapped loopback', { from: '::ffff:127.0.0.1' }, 200],
    ['our own page', { host: 'localhost:8080', origin: 'http://localhost:8080' }, 200],
    ['another machine', { from: '10.0.0.7' }, 403],
    ['another machine that says localhost', { from: '192.168.1.2', host: 'localhost:8080' }, 403],
    ['an address that only begins like loopback', { from: '::1:2' }, 403],
    ['a name that was rebound to loopback', { host: 'evil.example:8080' }, 403],
    ['a name that begins like ours', { host: 'localhost.evil.example' }, 403],
    ['a name that ends like ours', { host: 'evil-localhost' }, 403],
    ['a page of another site', { origin: 'https://evil.example' }, 403],
    ['a page of another port', { origin: 'http://localhost:3000' }, 403],
    ['a page of no origin', { origin: 'null' }, 403],
  ])('asked for from %s: %j → %i', async (_name, options, status) =>
    expect((await ask(options)).statusCode).toBe(status),
  );

  it.each([
    ['', 400],
    ['a'.repeat(64), 200],
    ['a'.repeat(65), 400],
    ['a\nb', 400],
    [5, 400],
    [null, 400],
    [undefined, 400],
    ['张三', 200],
  ])('for %j: %i', async (user, status) => expect((await ask({ user })).statusCode).toBe(status));
});
