import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApp } from '../../processes/gateway/app.ts';
import { refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { CampaignId, PhaseKey, SceneId } from '../../vocabulary/ids.ts';
import { instantMs } from '../../vocabulary/instant.ts';
import type { ReissueDesk, ReissueView } from './desk.ts';
import { reissueRoutes } from './http.ts';

let app: ReturnType<typeof createApp>;
let calls: unknown[][];

const view: ReissueView = {
  id: 1,
  state: 'draft',
  contentHash: 'ab'.repeat(32),
  lines: 1,
  madeBy: 'ann',
  madeAtMs: instantMs(1),
  perSecond: 100,
  counts: { waiting: 1 },
  givenBefore: 0,
  needs: [
    {
      campaignId: 'gala' as CampaignId,
      sceneId: 'show' as SceneId,
      phaseKey: 3 as PhaseKey,
      lines: 1,
      namedFen: 5n as Fen,
      fen: 5n as Fen,
      remaining: { fen: 9n as Fen, packets: 2 },
      suffices: true,
    },
  ],
  suffices: true,
  perSecondNow: undefined,
  secondsLeft: undefined,
  events: [],
};

beforeEach(async () => {
  calls = [];
  const called =
    <Answer>(name: string, answer: Answer) =>
    async (...args: readonly unknown[]): Promise<Answer> => {
      calls.push([name, ...args]);
      return answer;
    };
  const desk: ReissueDesk = {
    async bring(body, by) {
      let bytes = 0;
      for await (const chunk of body) {
        bytes += chunk.length;
        if (Buffer.from(chunk).includes('stop')) return refuse('malformed', 'line 1: no');
      }
      calls.push(['bring', bytes, by]);
      return { view, isNew: true };
    },
    view: async (id) => (id === 1 ? view : refuse('reissue-unknown', `there is no job ${id}`)),
    jobs: called('jobs', []),
    act: called('act', view),
    setRate: called('setRate', view),
    result: async () =>
      (async function* () {
        yield 'line\r\n';
        yield '2\r\n';
      })(),
    addOperator: called('addOperator', 'hbo_new'),
    operators: called('operators', []),
  };
  app = createApp({ logger: pino({ level: 'silent' }), onProblem: () => {} });
  await app.register(reissueRoutes, {
    desk,
    operatorOf: async (secret) => (secret === 'of-ann' ? 'ann' : secret === 'of-bob' ? 'bob' : undefined),
  });
});
afterEach(() => app.close());

const as = (name: string) => ({ authorization: `Bearer of-${name}` });

describe('lists over HTTP', () => {
  it.each([
    ['GET', '/ops/v1/reissues'],
    ['POST', '/ops/v1/reissues'],
    ['GET', '/ops/v1/reissues/1'],
    ['POST', '/ops/v1/reissues/1/approve'],
    ['POST', '/ops/v1/reissues/1/start'],
    ['PUT', '/ops/v1/reissues/1/rate'],
    ['GET', '/ops/v1/reissues/1/result'],
    ['GET', '/ops/v1/operators'],
    ['POST', '/ops/v1/operators'],
  ] as const)('%s %s is for operators', async (method, url) => {
    for (const headers of [{}, as('mallory'), { authorization: 'Basic of-ann' }]) {
      const { statusCode } = await app.inject({ method, url, headers });
      expect(statusCode).toBe(401);
    }
    expect(calls).toEqual([]);
  });

  it('takes a list as a stream, larger than any body may be, in the name of whoever brings it', async () => {
    const payload = 'x'.repeat(1 << 20);
    const answer = await app.inject({
      method: 'POST',
      url: '/ops/v1/reissues',
      headers: { ...as('ann'), 'content-type': 'text/csv; charset=utf-8' },
      payload,
    });
    expect(answer.statusCode).toBe(201);
    expect(calls).toEqual([['bring', payload.length, 'ann']]);
    expect(answer.json()).toMatchObject({
      needs: [{ campaign: 'gala', scene: 'show', fen: 5, remaining: { fen: 9, packets: 2 } }],
    });
  });

  it('is heard when it refuses a list before its end', async () => {
    await app.listen({ port: 0 });
    const { port } = app.server.address() as { port: number };
    const response = await fetch(`http://127.0.0.1:${port}/ops/v1/reissues`, {
      method: 'POST',
      headers: { ...as('ann'), 'content-type': 'text/csv' },
      body: `stop${'x'.repeat(5 << 20)}`,
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ detail: 'line 1: no' });
  });

  it('takes nothing but CSV for a list', async () => {
    const { statusCode } = await app.inject({
      method: 'POST',
      url: '/ops/v1/reissues',
      headers: as('ann'),
      payload: { campaign: 'gala' },
    });
    expect(statusCode).toBe(415);
  });

  it('hands each act on with the name of whoever asks', async () => {
    const contentHash = view.contentHash;
    const post = (url: string, payload?: object) =>
      app.inject({ method: 'POST', url, headers: as('bob'), ...(payload ? { payload } : {}) });
    expect((await post('/ops/v1/reissues/1/approve', { contentHash })).statusCode).toBe(200);
    expect((await post('/ops/v1/reissues/1/start')).statusCode).toBe(200);
    expect((await post('/ops/v1/operators', { name: 'cat' })).json()).toEqual({ operatorKey: 'hbo_new' });
    expect(calls).toEqual([
      ['act', 1, 'approve', 'bob', contentHash],
      ['act', 1, 'start', 'bob', undefined],
      ['addOperator', 'cat', 'bob'],
    ]);
  });

  it.each([
    ['POST', '/ops/v1/reissues/1/explode', undefined],
    ['POST', '/ops/v1/reissues/x/start', undefined],
    ['POST', '/ops/v1/reissues/1/approve', { contentHash: 'short' }],
    ['PUT', '/ops/v1/reissues/1/rate', { perSecond: 0 }],
    ['PUT', '/ops/v1/reissues/1/rate', { perSecond: 10_001 }],
    ['GET', '/ops/v1/reissues/1/result?only=nothing', undefined],
    ['POST', '/ops/v1/operators', { name: 'a b' }],
  ] as const)('refuses %s %s %j', async (method, url, payload) => {
    const { statusCode } = await app.inject({
      method,
      url,
      headers: as('bob'),
      ...(payload ? { payload } : {}),
    });
    expect(statusCode).toBe(400);
    expect(calls).toEqual([]);
  });

  it('streams the result as CSV, and knows which jobs there are', async () => {
    const result = await app.inject({ url: '/ops/v1/reissues/1/result?only=refused', headers: as('ann') });
    expect(result.headers['content-type']).toContain('text/csv');
    expect(result.body).toBe('line\r\n2\r\n');
    const unknown = await app.inject({ url: '/ops/v1/reissues/2', headers: as('ann') });
    expect(unknown.json()).toMatchObject({ code: 'reissue-unknown', status: 404 });
  });
});
