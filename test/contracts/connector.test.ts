import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { createHttpConnector } from '../../src/engines/connector-http/index.ts';
import { readConnectors } from '../../src/engines/connector-http/read.ts';
import type { ConnectorDraft } from '../../src/engines/connector-http/schema.ts';
import type { Connector } from '../../src/engines/ports.ts';
import { EXAMPLE, one, SECRETS } from '../support/connectors.ts';

const NOW_MS = 1_800_000_000_123;
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
    // With one that could not be kept as it is: a database takes no NUL, half a code is none, nor is a rounded one.
    ['give', 200, { ...about, state: 'issued', coupon: { code: 'A\0B' } }, 'unknown'],
    ['give', 200, { ...about, state: 'issued', coupon: { code: 'A\ud800' } }, 'unknown'],
    ['give', 200, { ...about, state: 'issued', coupon: { code: 2 ** 60 } }, 'unknown'],
    ['give', 200, { ...about, state: 'issued', coupon: { code: 12.5 } }, 'unknown'],
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

  it('keeps a long voucher whole or not at all, and of a reason what can be written down', async () => {
    const code = `https://shop.example/${'x'.repeat(1_900)}`;
    const answers: [number, unknown][] = [
      [200, { ...about, state: 'issued', coupon: { code } }],
      [200, { ...about, state: 'issued', coupon: { code: `${code}${code}` } }],
      [409, { ...about, error: 'sold-out', message: 'none\0 left' }],
    ];
    const url = await answering((response) => json(response, ...answers[seen.length - 1]!));
    expect(await connect(drinks, url).give(one)).toEqual({ answer: 'fulfilled', voucher: code });
    expect(await connect(drinks, url).give(one)).toMatchObject({ answer: 'unknown' });
    expect(await connect(drinks, url).give(one)).toEqual({ answer: 'rejected', reason: 'none\ufffd left' });
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
