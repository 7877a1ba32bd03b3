import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { ERROR_KINDS } from '../../src/protocol/error-kinds.ts';
import { sessionOf, startEngineForTest, type TestEngine } from '../support/engine.ts';

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

const CAMPAIGN = '/v1/campaigns/kill';

describe('the engine’s API', { timeout: 60_000 }, () => {
  let engine: TestEngine;
  let alice: string;
  let mallory: string;

  const ask = async (
    method: string,
    route: string,
    options: {
      bearer?: string | undefined;
      body?: unknown;
      raw?: string;
      headers?: Record<string, string>;
      base?: string;
    } = {},
  ): Promise<Answer> => {
    const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    const response = await fetch(`${options.base ?? engine.url}${route}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.bearer === undefined ? {} : { authorization: `Bearer ${options.bearer}` }),
        ...options.headers,
      },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    return {
      status: response.status,
      body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : { text },
    };
  };
  const ticketOf = async (bearer: string): Promise<string> => {
    for (let tries = 0; tries < 200; tries += 1) {
      const { body, status } = await ask('POST', `${CAMPAIGN}/shakes`, { bearer, body: {} });
      if (body.prize === 'ticket') return body.ticket as string;
      await new Promise((resolve) => setTimeout(resolve, status === 429 ? 400 : 120));
    }
    throw new Error('no packet came');
  };
  /** A packet with money in it; the rounds bring pieces too. */
  const win = async (bearer: string) => {
    for (;;) {
      const { body } = await ask('POST', `${CAMPAIGN}/packets`, {
        bearer,
        body: { ticket: await ticketOf(bearer) },
      });
      if (body.awardType === undefined || body.awardType === 'cash') return body;
    }
  };

  beforeAll(async () => {
    engine = await startEngineForTest({ campaignFile: 'test/faults/kill-campaign.yaml' });
    [alice, mallory] = await Promise.all([sessionOf(engine, 'alice'), sessionOf(engine, 'mallory')]);
  });
  afterAll(() => engine.stop());

  it('serves an OpenAPI document that lists exactly the routes there are', async () => {
    const { body } = await ask('GET', '/openapi.json');
    const paths = body.paths as Record<string, Record<string, { responses: object }>>;
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(body.openapi).toBe('3.1.0');
    expect(routes.sort()).toEqual([
      'GET /.well-known/jwks.json',
      'GET /livez',
      'GET /readyz',
      'GET /v1/campaigns/{campaignId}',
      'GET /v1/campaigns/{campaignId}/total',
      'GET /v1/campaigns/{campaignId}/wallet',
      'GET /v1/campaigns/{campaignId}/wallet/records',
      'GET /v1/campaigns/{campaignId}/withdrawals/{withdrawalId}',
      'GET /v1/stock',
      'POST /demo/v1/sessions',
      'POST /v1/campaigns/{campaignId}/awards/{orderNumber}/use',
      'POST /v1/campaigns/{campaignId}/packets',
      'POST /v1/campaigns/{campaignId}/shakes',
      'POST /v1/campaigns/{campaignId}/wallet',
      'POST /v1/campaigns/{campaignId}/withdrawals',
      'POST /v1/grants',
      'POST /v1/grants/batch',
      'POST /v1/identities/phone',
      'POST /v1/payouts/notifications',
    ]);
    for (const route of routes) {
      const [method, path] = route.split(' ') as [string, string];
      const answer = await ask(
        method,
        path.replace('{campaignId}', 'kill').replace('{withdrawalId}', 'x').replace('{orderNumber}', 'x'),
        method === 'POST' ? { body: {} } : {},
      );
      expect([404, 405].includes(answer.status) && answer.body.code === 'not-found', route).toBe(false);
    }
  });

  it.each([
    ['GET', '/wallet', undefined],
    ['POST', '/wallet', { tokens: [] }],
    ['GET', '/wallet/records', undefined],
    ['POST', '/shakes', {}],
    ['POST', '/packets', { ticket: 'AA' }],
    ['POST', '/withdrawals', { amountFen: 1 }],
    ['GET', '/withdrawals/00000000-0000-7000-8000-000000000000', undefined],
  ])('%s %s is for the person of the session alone', async (method, route, body) => {
    const now = Math.floor(Date.now() / 1000);
    const forged = await new SignJWT()
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('alice')
      .setIssuer('demo')
      .setAudience('hongbao')
      .setExpirationTime(now + 600)
      .sign(Buffer.alloc(32, 1));
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(`{"iss":"demo","sub":"alice","aud":"hongbao","exp":${now + 600}}`).toString('base64url')}.AA`;
    const code = async (bearer: string | undefined) =>
      (await ask(method, `${CAMPAIGN}${route}`, { bearer, body, headers: { 'idempotency-key': 'k' } })).body
        .code;
    expect(await code(undefined)).toBe('session-missing');
    for (const wrong of [forged, unsigned, 'x', 'a.b.c', alice.slice(0, -2), 'x'.repeat(4_000)])
      expect(await code(wrong)).toBe('session-invalid');
  });

  it('keeps one person’s packet, token and withdrawal from another', async () => {
    const ticket = await ticketOf(alice);
    expect((await ask('POST', `${CAMPAIGN}/packets`, { bearer: mallory, body: { ticket } })).body.code).toBe(
      'ticket-foreign',
    );
    const packet = (await ask('POST', `${CAMPAIGN}/packets`, { bearer: alice, body: { ticket } })).body;
    const stolen = await ask('POST', `${CAMPAIGN}/wallet`, {
      bearer: mallory,
      body: { tokens: [packet.token] },
    });
    expect(stolen.body).toMatchObject({
      balanceFen: 0,
      refusedTokens: [{ index: 0, code: 'token-foreign' }],
    });
    // That one may have been a piece.
    await win(alice);
    const asked = await ask('POST', `${CAMPAIGN}/withdrawals`, {
      bearer: alice,
      body: { amountFen: 1 },
      headers: { 'idempotency-key': randomUUID() },
    });
    expect(asked.status).toBe(202);
    const route = `${CAMPAIGN}/withdrawals/${asked.body.withdrawalId}`;
    expect((await ask('GET', route, { bearer: alice })).status).toBe(200);
    expect((await ask('GET', route, { bearer: mallory })).body.code).toBe('withdrawal-unknown');
  });

  it('answers the same ticket with the same bytes, also to ten at once', async () => {
    const ticket = await ticketOf(mallory);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () =>
        ask('POST', `${CAMPAIGN}/packets`, { bearer: mallory, body: { ticket } }),
      ),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer.body))).size).toBe(1);
    expect(answers[0]!.status).toBe(200);
  });

  it('answers an Idempotency-Key once', async () => {
    await win(alice);
    const key = randomUUID();
    const withdraw = (amountFen: unknown, headers: Record<string, string> = { 'idempotency-key': key }) =>
      ask('POST', `${CAMPAIGN}/withdrawals`, { bearer: alice, body: { amountFen }, headers });
    expect((await withdraw(1, {})).status).toBe(400);
    const first = await withdraw(1);
    expect(first.status).toBe(202);
    expect(await withdraw(1)).toEqual(first);
    expect((await withdraw(2)).status).toBe(422);
  });

  it.each([
    ['not JSON', '{', 400],
    ['a list', '[]', 400],
    ['null', 'null', 400],
    ['an unknown field', '{"ticket":"AA","x":1}', 400],
    ['a number for a ticket', '{"ticket":1}', 400],
    ['rubbish for a ticket', '{"ticket":"AAAA"}', 400],
    ['too much', `{"ticket":"${'A'.repeat(200_000)}"}`, 413],
    ['deep nesting', '['.repeat(20_000), 400],
  ])('stays up and says what is wrong with %s', async (_, raw, status) => {
    const answer = await ask('POST', `${CAMPAIGN}/packets`, { bearer: alice, raw });
    expect(answer.status).toBe(status);
    expect(answer.body.code).toBeDefined();
    expect(answer.body.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect((await ask('GET', '/readyz')).status).toBe(200);
  });

  it.each([
    '/nothing',
    '/v1/campaigns/nobody',
    '/..%2f..%2fetc/passwd',
    '/%00',
    '/v1/campaigns/%ff',
    '/app.js/../../x',
  ])('has nothing at %s', async (route) => {
    expect([400, 404]).toContain((await ask('GET', route)).status);
  });

  it('lets an upstream grant its own scenes, once, and no others', async () => {
    const operator = engine.operatorKey();
    const applied = await fetch(`${engine.opsUrl}/ops/v1/campaigns`, {
      method: 'POST',
      headers: { authorization: `Bearer ${operator}`, 'content-type': 'application/yaml' },
      body: (await import('node:fs')).readFileSync('examples/gala.yaml', 'utf8'),
    });
    expect(applied.status).toBe(200);
    const { body } = await ask('POST', '/ops/v1/upstreams', {
      base: engine.opsUrl,
      bearer: operator,
      body: { name: 'show', campaignId: 'gala', scenes: ['fireworks'] },
    });
    const secret = body.secret as string;
    const grant = (fields: object, bearer: string | undefined = secret) =>
      ask('POST', '/v1/grants', {
        bearer,
        body: {
          campaignId: 'gala',
          sceneId: 'fireworks',
          rainId: 1,
          app: 'demo',
          user: 'zoe',
          amountFen: 500,
          ...fields,
        },
      });
    const [first, again] = await Promise.all([grant({}), grant({})]);
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(first.body.orderNumber).toBe(again.body.orderNumber);
    expect((await grant({})).body).toMatchObject({ replayed: true, amountFen: 500 });
    expect((await grant({ amountFen: 501 })).body.code).toBe('order-conflict');
    expect((await grant({ rainId: 2, amountFen: 20_001 })).body.code).toBe('amount-over-cap');
    expect((await grant({ sceneId: 'panda-rain', amountFen: undefined })).body.code).toBe('forbidden');
    expect((await grant({ campaignId: 'kill', sceneId: 'split', amountFen: undefined })).body.code).toBe(
      'forbidden',
    );
    expect((await grant({}, 'hbu_wrong')).body.code).toBe('credential-invalid');
    expect((await grant({}, alice)).body.code).toBe('credential-invalid');
    expect((await grant({ drawnAtMs: Date.parse('2024-01-01T00:00:00Z'), rainId: 3 })).body.code).toBe(
      'phase-closed',
    );
    const late = await grant({ drawnAtMs: Date.parse('2025-11-11T12:00:00Z'), rainId: 4 });
    const { body: left } = await ask('GET', '/v1/stock?campaignId=gala&sceneId=fireworks', {
      bearer: secret,
    });
    const [stock] = left.scenes as { total: object; leased: { packets: number }; low: boolean }[];
    expect(stock).toMatchObject({ total: { packets: 100_000, fen: 100_000_000 }, low: false });
    expect(stock!.leased.packets).toBeGreaterThan(0);
    expect(
      (await ask('GET', '/v1/stock?campaignId=gala&sceneId=panda-rain', { bearer: secret })).status,
    ).toBe(403);
    expect(late.body.orderNumber).toContain('_internal');
    const zoe = await sessionOf(engine, 'zoe');
    expect((await ask('GET', '/v1/campaigns/gala/wallet', { bearer: zoe })).body).toMatchObject({
      balanceFen: 500,
      totalIncomeFen: 500,
    });
  });

  it('keeps operations behind a key that a setup token gives once', async () => {
    for (const [method, route] of [
      ['GET', '/ops/v1/status'],
      ['PUT', '/ops/v1/credit-rate'],
      ['POST', '/ops/v1/keys/rotate'],
      ['POST', '/ops/v1/campaigns'],
      ['POST', '/ops/v1/upstreams'],
    ] as const) {
      expect(
        (await ask(method, route, { base: engine.opsUrl, ...(method === 'GET' ? {} : { body: {} }) })).status,
        route,
      ).toBe(401);
      expect(
        (
          await ask(method, route, {
            base: engine.opsUrl,
            bearer: alice,
            ...(method === 'GET' ? {} : { body: {} }),
          })
        ).status,
        route,
      ).toBe(401);
    }
    expect(
      (
        await ask('POST', '/ops/v1/setup', {
          base: engine.opsUrl,
          body: { setupToken: 'hbs_wrong', name: 'me' },
        })
      ).status,
    ).toBe(401);
    expect((await ask('GET', '/metrics', { base: engine.opsUrl })).body.text).toContain(
      'hongbao_shakes_total',
    );
  });

  it('shows a backlog when crediting is slowed, and lets it be withdrawn all the same', async () => {
    const rate = (creditsPerSecond: number | null) =>
      ask('PUT', '/ops/v1/credit-rate', {
        base: engine.opsUrl,
        bearer: engine.operatorKey(),
        body: { creditsPerSecond },
      });
    await rate(0);
    const user = await sessionOf(engine, 'patient');
    const packet = await win(user);
    const wallet = (await ask('GET', `${CAMPAIGN}/wallet`, { bearer: user })).body;
    expect(wallet).toMatchObject({
      balanceFen: packet.amountFen,
      creditedFen: 0,
      outstandingFen: packet.amountFen,
    });
    const asked = await ask('POST', `${CAMPAIGN}/withdrawals`, {
      bearer: user,
      body: { amountFen: packet.amountFen },
      headers: { 'idempotency-key': randomUUID() },
    });
    expect(asked.status).toBe(202);
    expect((await ask('GET', `${CAMPAIGN}/wallet`, { bearer: user })).body).toMatchObject({
      balanceFen: 0,
      outstandingFen: 0,
      totalIncomeFen: packet.amountFen,
    });
    await rate(null);
  });

  it('answers frames that make no sense with a problem, and cuts oversized ones', async () => {
    const codes: number[] = [];
    const socket = new WebSocket(`${engine.url.replace('http', 'ws')}/v1/play`, ['hongbao.v1']);
    await new Promise((resolve) => socket.once('open', resolve));
    socket.on('message', (data: Buffer) => codes.push(data[data.indexOf(0x2a) + 3]!));
    for (const frame of [
      Buffer.alloc(0),
      Buffer.from([0xff, 0xff]),
      Buffer.from('hello'),
      Buffer.from([0x1a, 0x00]),
    ])
      socket.send(frame);
    await expect.poll(() => codes.length).toBe(4);
    expect(codes.slice(0, 3)).toEqual(Array(3).fill(ERROR_KINDS.malformed.wireCode));
    expect(codes[3]).toBe(ERROR_KINDS['session-missing'].wireCode);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.send(Buffer.alloc(10_000));
    expect(await closed).toBe(1009);
    expect((await ask('GET', '/readyz')).status).toBe(200);
  });

  /** What each command says is tested beside it (src/processes/cli): here it runs as a process of its own. */
  it.each([
    [['withdraw', '--user', 'cli', '--amount', '99999999'], 1],
    [['no-such-command'], 2],
    [['wallet', '--user', 'cli', '--url', 'http://127.0.0.1:1'], 3],
    [['wallet', '--user', 'cli', '--json'], 0],
    [['audit', '--json'], 0],
    [['doctor', '--json'], 0],
  ])('hongbao %j ends with %i', (args, code) => {
    const { status, stdout } = spawnSync(process.execPath, ['bin/hongbao.mjs', ...args], {
      env: { ...process.env, HONGBAO_DATA: engine.dataFolder, HONGBAO_PORT: String(engine.port) },
      encoding: 'utf8',
    });
    expect(status).toBe(code);
    if (args.includes('--json')) expect(() => JSON.parse(stdout) as unknown).not.toThrow();
  });
});
