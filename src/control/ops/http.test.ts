import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Award } from '../../engines/ports.ts';
import { createApp } from '../../processes/gateway/app.ts';
import { refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, PhaseKey } from '../../vocabulary/ids.ts';
import { instantMs } from '../../vocabulary/instant.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import { type OpsDeps, opsRoutes } from './http.ts';

const DEAD: Award = {
  account: { actId: 7n as ActId, phaseKey: 3 as PhaseKey },
  orderNumber: '7_tea_1_drinks-coupon_live' as OrderNumber,
  worthFen: 1_900n as Fen,
  state: 'dead',
  drawnAtMs: instantMs(1),
  tries: 4,
  dueAtMs: instantMs(2),
  reason: 'sold out',
  voucher: 'SECRET',
};

let app: ReturnType<typeof createApp>;
let calls: unknown[][];
let rate: number | undefined;
let off: ('book' | 'log')[];

beforeEach(async () => {
  calls = [];
  rate = undefined;
  off = [];
  const called = (...call: unknown[]): void => void calls.push(call);
  const deps: OpsDeps = {
    isOperator: async (secret) => secret === 'right',
    setUp: async (token, name) => {
      called('setUp', token, name);
      return token === 'hbs_right' ? 'hbo_new' : undefined;
    },
    creditRate: () => rate,
    setCreditRate: async (value) => {
      called('setCreditRate', value);
      rate = value;
    },
    rotateKeys: async () => {
      called('rotateKeys');
      return { keyId: 2 };
    },
    cue: async (cue) => {
      called('cue', cue);
      return cue.rainId === 9 ? refuse('malformed', 'phase live has no round 9') : { sequence: 7 };
    },
    switches: () => off,
    setSwitch: async (part, on) => {
      called('setSwitch', part, on);
      off = on ? [] : [part];
    },
    applyCampaign: async (source) => {
      called('applyCampaign', source);
      return source === 'bad'
        ? { problems: [{ path: 'x', line: 1, column: 1, message: 'no' } as never] }
        : { id: 'gala', version: 1 };
    },
    addUpstream: async (ask) => {
      called('addUpstream', ask);
      return ask.scenes.includes('none') ? refuse('scene-unknown', 'no scene none') : 'hbu_new';
    },
    deadLetters: {
      dead: async (after, limit) => {
        called('dead', after, limit);
        return [DEAD];
      },
      stuck: async (after, limit) => {
        called('stuck', after, limit);
        return [];
      },
      replay: async (orderNumber) => {
        called('replay', orderNumber);
        return orderNumber === DEAD.orderNumber
          ? { replayed: true, state: 'asking' }
          : refuse('award-unknown', 'no such piece');
      },
    },
    status: async () => ({ backlog: 0 }),
    metricsText: async () => '# metrics',
    ready: () => ({ ready: false, reason: 'stopping' }),
  };
  app = createApp({ logger: pino({ level: 'silent' }), onProblem: () => {} });
  await app.register(opsRoutes, deps);
});
afterEach(() => app.close());

const OPERATOR = { authorization: 'Bearer right' };
const GUARDED = [
  ['GET', '/ops/v1/status'],
  ['GET', '/ops/v1/credit-rate'],
  ['PUT', '/ops/v1/credit-rate'],
  ['POST', '/ops/v1/keys/rotate'],
  ['POST', '/ops/v1/campaigns'],
  ['POST', '/ops/v1/upstreams'],
  ['GET', '/ops/v1/switches'],
  ['PUT', '/ops/v1/switches/book'],
  ['POST', '/ops/v1/cues'],
  ['GET', '/ops/v1/awards/dead'],
  ['GET', '/ops/v1/awards/stuck'],
  ['POST', '/ops/v1/awards/7_tea_1_drinks-coupon_live/replay'],
] as const;

describe('operations', () => {
  it('switches a part off and on again, and knows no other part', async () => {
    const put = (part: string, on: unknown) =>
      app.inject({ method: 'PUT', url: `/ops/v1/switches/${part}`, headers: OPERATOR, payload: { on } });
    expect((await put('book', false)).json()).toEqual({ off: ['book'] });
    expect((await put('book', true)).json()).toEqual({ off: [] });
    expect([(await put('ledger', false)).statusCode, (await put('book', 'no')).statusCode]).toEqual([
      400, 400,
    ]);
    expect(calls).toEqual([
      ['setSwitch', 'book', false],
      ['setSwitch', 'book', true],
    ]);
  });

  it('lists dead letters without what only their person may see', async () => {
    const get = (url: string) => app.inject({ method: 'GET', url, headers: OPERATOR });
    const { account, voucher, ...line } = DEAD;
    expect(voucher).toBe('SECRET');
    expect((await get('/ops/v1/awards/dead?limit=1')).json()).toEqual({
      awards: [{ ...line, phaseKey: account.phaseKey, worthFen: 1_900 }],
      next: DEAD.orderNumber,
    });
    expect((await get(`/ops/v1/awards/dead?after=${DEAD.orderNumber}`)).json()).toMatchObject({ next: null });
    expect((await get('/ops/v1/awards/stuck')).json()).toEqual({ awards: [], next: null });
    for (const query of ['limit=0', 'limit=1001', 'after=a%20b', 'other=1'])
      expect((await get(`/ops/v1/awards/dead?${query}`)).statusCode).toBe(400);
    expect(calls).toEqual([
      ['dead', undefined, 1],
      ['dead', DEAD.orderNumber, 100],
      ['stuck', undefined, 100],
    ]);
  });

  it('replays a dead letter, or says why not', async () => {
    const post = (orderNumber: string) =>
      app.inject({ method: 'POST', url: `/ops/v1/awards/${orderNumber}/replay`, headers: OPERATOR });
    expect((await post(DEAD.orderNumber)).json()).toEqual({ replayed: true, state: 'asking' });
    const none = await post('8_tea_1_drinks-coupon_live');
    expect([none.statusCode, none.json().code]).toEqual([404, 'award-unknown']);
  });

  it('moves a round, or says why not', async () => {
    const cue = { campaignId: 'gala', phaseId: 'live', rainId: 1, startsAtMs: 5 };
    const post = (payload: object) =>
      app.inject({ method: 'POST', url: '/ops/v1/cues', headers: OPERATOR, payload });
    expect((await post(cue)).json()).toEqual({ sequence: 7 });
    expect((await post({ ...cue, rainId: 9 })).json()).toMatchObject({ code: 'malformed' });
    expect((await post({ ...cue, startsAtMs: 1.5 })).statusCode).toBe(400);
  });

  it.each(
    GUARDED.flatMap(([method, url]) =>
      [undefined, 'Bearer wrong', 'Basic right', 'right', 'Bearer', 'Bearer  '].map(
        (authorization) => [method, url, authorization] as const,
      ),
    ),
  )('%s %s with %j moves nothing', async (method, url, authorization) => {
    const answer = await app.inject({
      method,
      url,
      headers: authorization === undefined ? {} : { authorization },
      ...(method === 'GET' ? {} : { payload: {} }),
    });
    expect(answer.statusCode).toBe(401);
    expect(answer.json()).toMatchObject({ code: 'credential-invalid' });
    expect(calls).toEqual([]);
  });

  it('set the credit rate, and lift it', async () => {
    const put = (creditsPerSecond: unknown) =>
      app.inject({
        method: 'PUT',
        url: '/ops/v1/credit-rate',
        headers: OPERATOR,
        payload: { creditsPerSecond } as object,
      });
    expect((await put(500)).json()).toEqual({ creditsPerSecond: 500 });
    expect((await put(0)).json()).toEqual({ creditsPerSecond: 0 });
    expect((await put(null)).json()).toEqual({ creditsPerSecond: null });
  });

  it.each([-1, 1.5, '500', '1e3', 10_000_001, true, [], {}, undefined])(
    'a credit rate of %j is refused',
    async (creditsPerSecond) => {
      const answer = await app.inject({
        method: 'PUT',
        url: '/ops/v1/credit-rate',
        headers: OPERATOR,
        payload: { creditsPerSecond } as object,
      });
      expect(answer.statusCode).toBe(400);
      expect(answer.json()).toMatchObject({ code: 'malformed' });
      expect(calls).toEqual([]);
    },
  );

  it('rotate keys with no body at all', async () => {
    expect(
      (await app.inject({ method: 'POST', url: '/ops/v1/keys/rotate', headers: OPERATOR })).json(),
    ).toEqual({ keyId: 2 });
  });

  it('take a campaign as YAML only, and tell every mistake as a problem', async () => {
    const post = (payload: string, type: string) =>
      app.inject({
        method: 'POST',
        url: '/ops/v1/campaigns',
        headers: { ...OPERATOR, 'content-type': type },
        payload,
      });
    expect((await post('good', 'application/yaml')).json()).toEqual({ id: 'gala', version: 1 });
    expect((await post('{}', 'application/json')).statusCode).toBe(415);
    const bad = await post('bad', 'application/yaml');
    expect(bad.statusCode).toBe(422);
    expect(bad.headers['content-type']).toContain('application/problem+json');
    expect(bad.json()).toMatchObject({ code: 'malformed', status: 422, problems: [{ message: 'no' }] });
  });

  it('add an upstream for scenes that there are', async () => {
    const post = (payload: object) =>
      app.inject({ method: 'POST', url: '/ops/v1/upstreams', headers: OPERATOR, payload });
    expect((await post({ name: 'tv', campaignId: 'gala', scenes: ['show'] })).json()).toEqual({
      secret: 'hbu_new',
    });
    expect((await post({ name: 'tv', campaignId: 'gala', scenes: ['none'] })).statusCode).toBe(404);
    for (const scenes of [[], 'show', undefined])
      expect((await post({ name: 'tv', campaignId: 'gala', scenes })).statusCode).toBe(400);
    expect((await post({ name: 'a b', campaignId: 'gala', scenes: ['show'] })).statusCode).toBe(400);
  });

  it('make an operator of whoever holds the setup token, and stop guessing', async () => {
    const post = (setupToken: string) =>
      app.inject({ method: 'POST', url: '/ops/v1/setup', payload: { setupToken, name: 'night-shift' } });
    expect((await post('hbs_right')).json()).toEqual({ operatorKey: 'hbo_new' });
    for (let tries = 0; tries < 19; tries += 1) expect((await post('hbs_wrong')).statusCode).toBe(401);
    expect((await post('hbs_right')).statusCode).toBe(429);
  });

  it('tell health and metrics to anyone on this machine', async () => {
    expect((await app.inject('/healthz')).json()).toEqual({ alive: true });
    expect((await app.inject('/readyz')).statusCode).toBe(503);
    expect((await app.inject('/metrics')).body).toBe('# metrics');
  });
});
