import { createHmac } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHttpConnector } from '../../src/engines/connector-http/index.ts';
import { readConnectors } from '../../src/engines/connector-http/read.ts';
import { type ConnectorDraft, connectorsJsonSchema } from '../../src/engines/connector-http/schema.ts';
import { sandboxEntry } from '../../src/engines/embedded/award-sandbox/entry.ts';
import {
  type AwardSandbox,
  type CountedPiece,
  DOWNSTREAM_MODES,
  type DownstreamMode,
  startAwardSandbox,
} from '../../src/engines/embedded/award-sandbox/index.ts';
import type { Connector, FulfilAsk } from '../../src/engines/ports.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, PhaseKey } from '../../src/vocabulary/ids.ts';
import type { OrderNumber } from '../../src/vocabulary/order-number.ts';
import { quiet } from '../support/postgres.ts';
import { testClock } from '../support/rig.ts';

const EXAMPLE = readFileSync('examples/connectors.yaml', 'utf8');
const SECRETS = { DRINKS_TOKEN: 'dr1nks', CINEMA_SECRET: 'c1nema' };
const NOW_MS = 1_800_000_000_123;

const one: FulfilAsk = {
  orderNumber: '42_tea_7_drinks-coupon_live' as OrderNumber,
  phaseKey: 3 as PhaseKey,
  item: 'tpl/大杯 "oolong"?',
  actId: 42n as ActId,
  worthFen: 1_905n as Fen,
};
const KEY = `3-${one.orderNumber}`;

function entriesOf(text: string, env: Record<string, string> = SECRETS): readonly ConnectorDraft[] {
  const read = readConnectors(text, env);
  if ('problems' in read) throw new Error(JSON.stringify(read.problems));
  return read.draft.connectors;
}
const [drinks, cinema] = entriesOf(EXAMPLE) as [ConnectorDraft, ConnectorDraft];

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

let server: Server;
let seen: Seen[];
/** A downstream of any shape: what it is asked is kept, what it answers is the test's. */
async function answering(answer: (response: ServerResponse, request: Seen) => void): Promise<string> {
  seen = [];
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    seen.push({ method: request.method!, url: request.url!, headers: request.headers, body });
    answer(response, seen.at(-1)!);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

const connect = (entry: ConnectorDraft, url: string, timeoutMs = 10_000): Connector =>
  createHttpConnector({
    entry: { ...entry, url: `${url}${new URL(entry.url).pathname}`, timeoutMs },
    secretOf: (variable) => SECRETS[variable as keyof typeof SECRETS],
    nowMs: () => NOW_MS,
  });
const json = (response: ServerResponse, status: number, body: unknown) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

describe('a connector over HTTP', () => {
  it('asks a drinks shop in its own words, everything escaped for its place', async () => {
    const url = await answering((response) =>
      json(response, 201, { requestId: KEY, state: 'issued', coupon: { code: 'TEA-1' } }),
    );
    const shop = connect(drinks, url);
    expect(await shop.give(one)).toEqual({ answer: 'fulfilled', voucher: 'TEA-1' });
    expect(await shop.query(one)).toEqual({ answer: 'fulfilled', voucher: 'TEA-1' });
    expect(seen.map(({ method, url: path }) => `${method} ${path}`)).toEqual([
      'POST /api/v2/coupons',
      `GET /api/v2/coupons/by-request/${KEY}`,
    ]);
    expect(seen[0]!.headers).toMatchObject({ authorization: 'Bearer dr1nks', 'idempotency-key': KEY });
    expect(JSON.parse(seen[0]!.body)).toEqual({
      requestId: KEY,
      template: one.item,
      member: '42',
      valueFen: 1_905,
    });
    expect(seen[1]!.body).toBe('');
  });

  it('signs what it asks a cinema', async () => {
    const url = await answering((response) =>
      json(response, 200, { code: 0, data: { outTradeNo: KEY, status: 'SUCCESS', ticketNo: 88_001 } }),
    );
    expect(await connect(cinema, url).give(one)).toEqual({ answer: 'fulfilled', voucher: '88001' });
    const [{ headers, body, url: path }] = seen as [Seen];
    const signed = `1800000000\nPOST\n${path}\n${body}`;
    const signature = createHmac('sha256', SECRETS.CINEMA_SECRET).update(signed).digest('base64');
    expect(headers).toMatchObject({ 'x-cinema-time': '1800000000', 'x-cinema-sign': signature });
    expect(JSON.parse(body)).toMatchObject({ user: { openId: '42' }, price: '19.05', film: one.item });
  });

  it('says who it is by name and password where that is wanted', async () => {
    const url = await answering((response) => json(response, 200, {}));
    const auth = { kind: 'basic', userEnv: 'DRINKS_TOKEN', passwordEnv: 'CINEMA_SECRET' } as const;
    await connect({ ...drinks, auth }, url).query(one);
    expect(seen[0]!.headers.authorization).toBe(`Basic ${Buffer.from('dr1nks:c1nema').toString('base64')}`);
    await connect({ ...drinks, auth: { kind: 'none' } }, url).query(one);
    expect(seen[1]!.headers.authorization).toBeUndefined();
  });

  it('lets no value out of its place', async () => {
    const url = await answering((response) => json(response, 200, {}));
    const entry: ConnectorDraft = {
      ...drinks,
      give: {
        method: 'POST',
        path: '/a/{item}?name={item}&n={orderNumber}',
        headers: { 'x-item': 'is {item}' },
        body: { '{item}': '{item}', list: ['{item}', 1, null, { deep: '{item}' }], worth: 'of {worthFen}' },
      },
    };
    const items: readonly [string, string][] = [
      ['a/b?c#d&e', 'is a/b?c#d&e'],
      ['x\r\nx-evil: 1', 'is x%0D%0Ax-evil:%201'],
      ['"},{"', 'is "},{"'],
      ['{actId}', 'is {actId}'],
      ['雪', 'is %E9%9B%AA'],
    ];
    for (const [item] of items) await connect(entry, url).give({ ...one, item });
    for (const [at, [item, header]] of items.entries()) {
      const encoded = encodeURIComponent(item);
      expect(seen[at]!.url).toBe(`/api/a/${encoded}?name=${encoded}&n=${one.orderNumber}`);
      expect(seen[at]!.headers).toMatchObject({ 'x-item': header });
      expect(seen[at]!.headers['x-evil']).toBeUndefined();
      expect(JSON.parse(seen[at]!.body)).toEqual({
        '{item}': item,
        list: [item, 1, null, { deep: item }],
        worth: 'of 1905',
      });
    }
    const before = seen.length;
    for (const item of ['.', '..'])
      expect(await connect(entry, url).give({ ...one, item })).toMatchObject({ answer: 'unknown' });
    expect(seen).toHaveLength(before);
  });

  const about = { requestId: KEY };
  it.each<['give' | 'query', number, unknown, string]>([
    ['give', 200, { ...about, state: 'issued', coupon: { code: 'A' } }, 'fulfilled'],
    ['query', 200, { ...about, state: 'queued' }, 'processing'],
    ['query', 404, { error: 'no-such-request' }, 'unheard-of'],
    ['give', 409, { ...about, error: 'sold-out', message: 'none left' }, 'rejected'],
    ['give', 503, { error: 'nothing-done', message: 'at lunch' }, 'failed'],
    // About somebody else's, or not about this one for sure.
    ['give', 200, { requestId: 'other', state: 'issued', coupon: { code: 'A' } }, 'unknown'],
    ['give', 200, { state: 'issued', coupon: { code: 'A' } }, 'unknown'],
    ['give', 409, { requestId: 'other', error: 'sold-out' }, 'unknown'],
    // Without the voucher that it should carry.
    ['give', 200, { ...about, state: 'issued' }, 'unknown'],
    ['give', 200, { ...about, state: 'issued', coupon: { code: '' } }, 'unknown'],
    ['give', 200, { ...about, state: 'issued', coupon: { code: { a: 1 } } }, 'unknown'],
    // What no rule fits.
    ['give', 404, { error: 'no-such-request' }, 'unknown'],
    ['give', 200, { ...about, state: 'ISSUED', coupon: { code: 'A' } }, 'unknown'],
    ['give', 200, [], 'unknown'],
    ['give', 200, null, 'unknown'],
    ['give', 200, 'issued', 'unknown'],
    ['give', 500, { ...about, state: 'issued', coupon: { code: 'A' } }, 'unknown'],
    ['give', 401, { error: 'expired' }, 'unknown'],
    ['give', 400, {}, 'unknown'],
    ['give', 429, {}, 'unknown'],
    ['give', 503, {}, 'unknown'],
  ])('takes the drinks shop’s answer to %s of %d %j for %s', async (asked, status, body, meaning) => {
    const url = await answering((response) => json(response, status, body));
    expect((await connect(drinks, url)[asked](one)).answer).toBe(meaning);
  });

  it.each<['give' | 'query', unknown, object]>([
    ['query', { code: 0, data: { outTradeNo: KEY, status: 'PENDING' } }, { answer: 'processing' }],
    ['query', { code: 40_401, msg: 'no trade' }, { answer: 'unheard-of' }],
    ['give', { code: 40_901, msg: 'film is over' }, { answer: 'rejected', reason: 'film is over' }],
    ['give', { code: 50_301 }, { answer: 'failed', reason: 'status 200, no reason given' }],
    ['give', { code: '0', data: { outTradeNo: KEY, status: 'SUCCESS', ticketNo: 1 } }, { answer: 'unknown' }],
    ['give', { code: 40_401 }, { answer: 'unknown' }],
  ])('takes the cinema’s answer to %s of %j for %j', async (asked, body, meaning) => {
    const url = await answering((response) => json(response, 200, body));
    expect(await connect(cinema, url)[asked](one)).toMatchObject(meaning);
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ['is not JSON', (response) => response.end('<html>issued</html>')],
    ['is empty', (response) => response.end()],
    ['redirects', (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['cuts the connection', (response) => response.destroy()],
    ['never comes', () => {}],
    ['stops in the middle', (response) => response.write('{"state":"is')],
    ['never ends', (response) => response.end('x'.repeat(1 << 20))],
  ])('knows nothing when the answer %s', async (_, answer) => {
    const url = await answering(answer);
    expect((await connect(drinks, url, 300).give(one)).answer).toBe('unknown');
  });

  it('tells somebody who answers oddly from nobody', async () => {
    const url = await answering((response) => json(response, 418, {}));
    expect(await connect(drinks, url).give(one)).toEqual({
      answer: 'unknown',
      reason: 'status 418: no rule fits',
      isThere: true,
    });
    server.closeAllConnections();
    server.close();
    expect(await connect(drinks, url).give(one)).toMatchObject({ answer: 'unknown' });
    expect(await connect(drinks, url).give(one)).not.toHaveProperty('isThere', true);
  });
});

describe('a connector over HTTP, against the sandbox', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-downstreams-'));
  const clock = testClock();
  let sandbox: AwardSandbox;
  let tests = 0;
  const start = () =>
    startAwardSandbox({ port: 0, folder: path.join(folder, String(tests)), clock, logger: quiet });
  /** Only who is told not to answer in time may be taken for silent, however busy the machine is. */
  const shop = (name = 'drinks-shop', timeoutMs = 10_000): Connector =>
    createHttpConnector({
      entry: { ...sandboxEntry(name, sandbox.url), timeoutMs },
      secretOf: () => '',
      nowMs: clock.now,
    });
  const send = async (method: string, url: string, body: unknown) =>
    (
      await fetch(`${sandbox.url}${url}`, {
        method,
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
    ).status;
  const tell = (body: unknown) => send('PUT', '/behaviour', body);
  const pieces = async () => (await (await fetch(`${sandbox.url}/pieces`)).json()) as CountedPiece[];

  beforeEach(async () => {
    tests += 1;
    sandbox = await start();
  });
  afterEach(() => sandbox.stop());
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const table: [DownstreamMode, string, string, number][] = [
    // mode                 first answer  then asked     handed out
    ['ok', 'fulfilled', 'fulfilled', 1],
    ['slow', 'unknown', 'fulfilled', 1],
    ['http-500', 'unknown', 'unheard-of', 0],
    ['http-500-but-done', 'unknown', 'fulfilled', 1],
    ['time-out-then-done', 'unknown', 'fulfilled', 1],
    ['time-out-not-done', 'unknown', 'unheard-of', 0],
    ['twice', 'fulfilled', 'fulfilled', 1],
    ['processing-for-ever', 'processing', 'processing', 0],
    ['processing-then-ok', 'processing', 'processing', 0],
    ['fail', 'failed', 'unheard-of', 0],
    ['reject', 'rejected', 'rejected', 0],
    ['cut-before', 'unknown', 'unheard-of', 0],
    ['cut-after', 'unknown', 'fulfilled', 1],
  ];
  it.each(table)('in mode %s answers %s, then %s, and hands out %d', async (mode, first, then, times) => {
    expect(await tell({ mode, lateMs: 60_000 })).toBe(200);
    const isSilent = mode === 'slow' || mode.startsWith('time-out');
    expect((await shop('drinks-shop', isSilent ? 150 : 10_000).give(one)).answer).toBe(first);
    expect((await shop().query(one)).answer).toBe(then);
    expect((await pieces()).reduce((sum, piece) => sum + piece.handedOutTimes, 0)).toBe(times);
  });

  it('has a row above for every mode', () => {
    expect(table.map(([mode]) => mode)).toEqual([...DOWNSTREAM_MODES]);
  });

  it('hands one order number of a phase out once, also at the same moment, and tells phases and shops apart', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => shop().give(one)));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    await shop().give({ ...one, phaseKey: 4 as PhaseKey });
    await shop('cinema').give(one);
    const all = await pieces();
    expect(all.map((piece) => piece.handedOutTimes)).toEqual([1, 1, 1]);
    expect(new Set(all.map((piece) => piece.voucher)).size).toBe(3);
    // The same number for something else is not the same piece.
    expect((await shop().give({ ...one, item: 'other' })).answer).toBe('unknown');
  });

  it('remembers everything when it is started again, and ends what it was working on', async () => {
    const late = { ...one, orderNumber: '42_tea_8_drinks-coupon_live' as OrderNumber };
    await shop().give(one);
    await tell({ mode: 'processing-then-ok', lateMs: 60_000 });
    await shop().give(late);
    await sandbox.stop();
    const file = path.join(folder, String(tests), 'pieces.jsonl');
    appendFileSync(file, '{"connector":"cut o');
    sandbox = await start();
    expect(readFileSync(file, 'utf8').endsWith('}\n')).toBe(true);
    expect((await shop().query(one)).answer).toBe('fulfilled');
    expect((await shop().query(late)).answer).toBe('fulfilled');
    expect((await pieces()).map((piece) => piece.handedOutTimes)).toEqual([1, 1]);
  });

  it('behaves by item, by connector, or in all', async () => {
    await tell({ mode: 'reject', item: 'a' });
    await tell({ mode: 'fail', connector: 'cinema' });
    const give = async (connector: string, item: string) =>
      (await shop(connector).give({ ...one, item })).answer;
    expect([await give('drinks-shop', 'a'), await give('cinema', 'b'), await give('spa', 'b')]).toEqual([
      'rejected',
      'failed',
      'fulfilled',
    ]);
    await tell({ mode: 'ok' });
    expect([await give('cinema', 'b'), await give('hall', 'a')]).toEqual(['fulfilled', 'fulfilled']);
  });

  it.each([
    {},
    { mode: 'OK' },
    { mode: 'ok', lateMs: -1 },
    { mode: 'ok', item: 7 },
    { mode: 'ok', connector: '' },
    [],
    '{',
  ])('refuses to behave as %j', async (body) => {
    expect(await tell(body)).toBe(400);
  });

  const wanted = { orderNumber: 'a_b', phaseKey: 3, item: 'tea', actId: '42', worthFen: 0 };
  it.each([
    ['/shop/pieces', { ...wanted, orderNumber: '../x' }],
    ['/shop/pieces', { ...wanted, phaseKey: 0 }],
    ['/shop/pieces', { ...wanted, item: '' }],
    ['/shop/pieces', { ...wanted, actId: 42 }],
    ['/shop/pieces', { ...wanted, worthFen: 1.5 }],
    ['/sh_op/pieces', wanted],
    ['/shop/pieces', '{'],
  ])('hands out nothing at %s for %j', async (url, body) => {
    expect(await send('POST', url, body)).toBe(400);
    expect(await pieces()).toEqual([]);
  });
});

describe('the connectors file', () => {
  it('has an example without mistakes, and a published schema that is up to date', () => {
    expect(readConnectors(EXAMPLE, SECRETS)).toHaveProperty('draft');
    expect(readFileSync('schema/connectors.schema.json', 'utf8')).toBe(connectorsJsonSchema());
  });

  /** The mistakes of the example with one thing changed: the line itself, path, and what is wrong. */
  const mistakes = (from: string, to: string, env: Record<string, string> = SECRETS): string[] => {
    expect(EXAMPLE).toContain(from);
    const read = readConnectors(EXAMPLE.replace(from, to), env);
    if (!('problems' in read)) return [];
    const lines = EXAMPLE.replace(from, to).split('\n');
    return read.problems.map(
      ({ line, path, message, expected }) => `${lines[line - 1]!.trim()} → ${path}: ${message} | ${expected}`,
    );
  };

  it.each<[string, string, string]>([
    [
      'name: cinema',
      'name: drinks-shop',
      '- name: drinks-shop → connectors[1].name: the connector "drinks-shop" is there twice',
    ],
    ['name: cinema', 'name: in-house', 'connectors[1].name: "in-house" is what needs no downstream'],
    ['url: https://open.cinema.example', 'url: ftp://x', 'connectors[1].url: "ftp://x" is no http(s) URL'],
    ['https://coupons', 'https://me:pw@coupons', 'connectors[0].url: it holds a secret'],
    ['.example/api', '.example/api?key=1', 'connectors[0].url: it has a query'],
    ['timeoutMs: 3000', 'timeoutMs: 3e3', ': the number is written as 3e3'],
    ['timeoutMs: 3000', 'timeoutMs: 60000', 'timeoutMs: 60000 → connectors[0].timeoutMs: 60000 is too large'],
    ['timeoutMs: 3000', 'timeoutMS: 3000', 'connectors[0].timeoutMS: there is no field "timeoutMS" here'],
    ['tokenEnv: DRINKS_TOKEN', 'tokenEnv: dr1nks-token', 'it is no environment variable’s name'],
    ['tokenEnv: DRINKS_TOKEN', 'tokenEnv: OTHER_TOKEN', 'the environment variable OTHER_TOKEN is not set'],
    ['kind: bearer, ', 'kind: basic, ', 'tokenEnv is not of basic'],
    ['kind: bearer, tokenEnv: DRINKS_TOKEN', 'kind: bearer', 'the field "tokenEnv" is missing'],
    ['{timestamp}\\n{method}', '{method}', 'it holds for ever'],
    [
      '{timestamp}\\n{method}',
      '{timestamp}\\n{methd}',
      'there is no placeholder {methd} | did you mean "method"?',
    ],
    ['template: "{item}"', 'template: "{itm}"', 'there is no placeholder {itm} | did you mean "item"?'],
    ['path: /v2/coupons\n', 'path: v2/coupons\n', '"v2/coupons" is no path'],
    ['idempotency-key:', 'authorization:', 'a secret stands in the file'],
    ['idempotency-key:', 'Host:', 'the header "Host" can’t be set'],
    ['idempotency-key:', '"a b":', 'the header "a b" can’t be set'],
    ['by-request/{phaseKey}-{orderNumber}', 'by-request', 'the order number is nowhere in it'],
    [
      'status: 2xx, json: { /state: issued }',
      'status: 20x, json: { /state: issued }',
      'it is no HTTP status',
    ],
    ['{ /state: queued }', '{ state: queued }', '"state" is no JSON pointer'],
    ['{ /state: queued }', '{ /state: [queued] }', 'it is compared with a list or mapping'],
    ['means: processing', 'means: proccessing', 'did you mean "processing"?'],
    ['means: processing }', 'means: processing, voucher: /x }', 'a voucher of what is processing'],
    ['voucher: /coupon/code', 'voucher: coupon.code', '"coupon.code" is no JSON pointer'],
    [
      'status: 503, json: { /error: nothing-done }',
      'status: 503',
      'a status of 5xx alone is taken for failed',
    ],
    [
      'status: 503, json: { /error: nothing-done }',
      'status: 5xx',
      'a status of 5xx alone is taken for failed',
    ],
    ['status: 409, json: { /error: sold-out }, ', '', 'any answer at all would be rejected'],
  ])('%s as %s is told: %s', (from, to, told) => {
    const found = mistakes(from, to);
    expect(
      found.some((mistake) => mistake.includes(told)),
      found.join('\n'),
    ).toBe(true);
  });

  it('names a secret that is not there, with its line, and never what is in one', () => {
    expect(mistakes('connectors:', 'connectors:', { DRINKS_TOKEN: 'dr1nks' })).toEqual([
      'secretEnv: CINEMA_SECRET → connectors[1].auth.secretEnv: the environment variable CINEMA_SECRET is not set | the secret in it',
    ]);
    const odd = mistakes('connectors:', 'connectors:', { ...SECRETS, DRINKS_TOKEN: 'a\nb' });
    expect(odd.join()).toContain('DRINKS_TOKEN has characters that no header can have');
    expect(odd.join()).not.toContain('a\nb');
  });

  it.each([
    '',
    'connectors: []',
    'connectors: 1',
    'connectors: [1, null, {}]',
    '[]',
    '- a',
    'a: &x 1\nb: *x',
  ])('says what is wrong with %j, and never throws', (text) => {
    expect(readConnectors(text, {})).toHaveProperty('problems');
  });

  it('survives any part of it being something else', () => {
    const lines = EXAMPLE.split('\n');
    for (const [at, line] of lines.entries()) {
      for (const other of ['', `${line.split(':')[0]}: 7`, `${line.split(':')[0]}: [a]`, `${line} }`]) {
        const text = [...lines.slice(0, at), other, ...lines.slice(at + 1)].join('\n');
        expect(() => readConnectors(text, SECRETS)).not.toThrow();
      }
    }
  });
});
