import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type CountedPayment,
  PAYOUT_MODES,
  type PayoutMode,
  type PayoutSandbox,
  startPayoutSandbox,
} from '../../src/engines/embedded/payout-sandbox/index.ts';
import { createHttpPayout } from '../../src/engines/payout-http/index.ts';
import type { Withdrawal } from '../../src/engines/ports.ts';
import { newWithdrawalId } from '../../src/stations/8-withdraw/withdrawal-id.ts';
import type { ActId, PhaseKey, WithdrawalId } from '../../src/vocabulary/ids.ts';
import { parseWithdrawalId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { quiet } from '../support/postgres.ts';
import { testClock, until } from '../support/rig.ts';

const clock = testClock();
const withdrawal = (amount = 100): Withdrawal => ({
  id: newWithdrawalId(clock.now()),
  account: { actId: 1_000_001n as ActId, phaseKey: 3 as PhaseKey },
  amountFen: BigInt(amount) as Withdrawal['amountFen'],
  state: 'paying',
  requestedAtMs: clock.now(),
});
const json = (method: string, body: unknown): RequestInit => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

describe('a withdrawal’s id', () => {
  it('is a UUID v7 that begins with its time, and never the same twice', () => {
    const ids = Array.from({ length: 100 }, () => newWithdrawalId(instantMs(1_800_000_000_000)));
    expect(ids.every((id) => parseWithdrawalId(id) === id)).toBe(true);
    expect(ids[0]!.startsWith('01a3185c-5000-7')).toBe(true);
    expect(new Set(ids).size).toBe(100);
  });
});

describe('a payout over HTTP, against the sandbox', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-payout-'));
  let sandbox: PayoutSandbox;
  let tests = 0;
  const start = () =>
    startPayoutSandbox({ port: 0, folder: path.join(folder, String(tests)), clock, logger: quiet });
  /** Only who is told not to answer may be taken for silent, however busy the machine is. */
  const payoutOf = (timeoutMs = 10_000) => createHttpPayout({ url: sandbox.url, timeoutMs });
  const payments = async () => (await (await fetch(`${sandbox.url}/payments`)).json()) as CountedPayment[];
  const tell = async (body: unknown) => (await fetch(`${sandbox.url}/behaviour`, json('PUT', body))).status;

  beforeEach(async () => {
    tests += 1;
    sandbox = await start();
  });
  afterEach(() => sandbox.stop());
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each<[PayoutMode, string, string, number]>([
    // mode                 first answer  then asked      money moved
    ['ok', 'paid', 'paid', 1],
    ['time-out-then-paid', 'unknown', 'paid', 1],
    ['time-out-not-done', 'unknown', 'unheard-of', 0],
    ['fail', 'unknown', 'unheard-of', 0],
    ['fail-but-paid', 'unknown', 'paid', 1],
    ['reject', 'rejected', 'rejected', 0],
    ['twice', 'paid', 'paid', 1],
    ['late', 'processing', 'processing', 0],
  ])('in mode %s answers %s, then %s, and has paid %d times', async (mode, first, then, times) => {
    expect(await tell({ mode, lateMs: 60_000 })).toBe(200);
    const one = withdrawal();
    const timeoutMs = mode.startsWith('time-out') ? 150 : 10_000;
    expect((await payoutOf(timeoutMs).pay(one)).answer).toBe(first);
    expect((await payoutOf().query(one)).answer).toBe(then);
    expect((await payments()).reduce((sum, payment) => sum + payment.paidTimes, 0)).toBe(times);
  });

  it('has a row above for every mode', () => {
    expect(PAYOUT_MODES).toHaveLength(8);
  });

  it('pays one id once, however often it is asked, also at the same moment', async () => {
    const one = withdrawal();
    const answers = await Promise.all(Array.from({ length: 20 }, () => payoutOf().pay(one)));
    expect(new Set(answers.map((answer) => answer.answer))).toEqual(new Set(['paid']));
    expect(await payments()).toMatchObject([{ payoutId: one.id, amountFen: 100, paidTimes: 1 }]);
  });

  it('does not take one id for two payments', async () => {
    const one = withdrawal(100);
    await payoutOf().pay(one);
    const other = { ...one, amountFen: 101n as Withdrawal['amountFen'] };
    const someone = { ...one, account: { ...one.account, actId: 5n as ActId } };
    for (const ask of [other, someone]) expect((await payoutOf().pay(ask)).answer).toBe('unknown');
    expect((await payoutOf().query(other)).answer).toBe('unknown');
    expect(await payments()).toMatchObject([{ amountFen: 100, paidTimes: 1 }]);
  });

  it('remembers everything when it is started again, a payment cut off in the middle of its line too', async () => {
    const [paid, late] = [withdrawal(), withdrawal()];
    await payoutOf().pay(paid);
    await tell({ mode: 'late', lateMs: 60_000 });
    await payoutOf().pay(late);
    await sandbox.stop();
    const file = path.join(folder, String(tests), 'payments.jsonl');
    appendFileSync(file, '{"payoutId":"cut o');
    sandbox = await start();
    expect(readFileSync(file, 'utf8').endsWith('}\n')).toBe(true);
    expect((await payoutOf().query(paid)).answer).toBe('paid');
    // What was being worked on is finished, once.
    await until(async () => (await payoutOf().query(late)).answer === 'paid', 'the late one is paid');
    expect((await payments()).map((payment) => payment.paidTimes)).toEqual([1, 1]);
  });

  it('treats one amount differently when told so', async () => {
    await tell({ mode: 'reject', amountFen: 7 });
    expect((await payoutOf().pay(withdrawal(7))).answer).toBe('rejected');
    expect((await payoutOf().pay(withdrawal(8))).answer).toBe('paid');
    await tell({ mode: 'ok' });
    expect((await payoutOf().pay(withdrawal(7))).answer).toBe('paid');
  });

  it.each([
    {},
    { mode: 'OK' },
    { mode: null },
    { mode: 'late', lateMs: -1 },
    { mode: 'late', lateMs: 1.5 },
    { mode: 'late', lateMs: '5' },
    { mode: 'late', lateMs: 1e12 },
    { mode: 'ok', amountFen: 0 },
    [],
    'null',
    '{',
    '{"mode":"ok"',
    `{"mode":"ok","x":"${'y'.repeat(20_000)}"}`,
  ])('refuses to behave as %j', async (body) => {
    expect(await tell(body)).toBe(400);
  });

  it.each([
    {},
    { payoutId: 'x', amountFen: 1, payeeRef: 'p' },
    { payoutId: '../../etc/passwd', amountFen: 1, payeeRef: 'p' },
    ...[0, -1, 1.5, 1e300, '1', '１', null, true, [1]].map((amountFen) => ({
      payoutId: '00000000-0000-7000-8000-000000000000',
      amountFen,
      payeeRef: 'p',
    })),
    { payoutId: '00000000-0000-7000-8000-000000000000', amountFen: 1, payeeRef: '' },
    { payoutId: '00000000-0000-7000-8000-000000000000', amountFen: 1, payeeRef: 1 },
  ])('pays nothing for %j', async (body) => {
    expect((await fetch(`${sandbox.url}/payouts`, json('POST', body))).status).toBe(400);
    expect(await payments()).toEqual([]);
  });

  it('takes nothing that a web page could send unasked', async () => {
    const body = JSON.stringify({ payoutId: withdrawal().id, amountFen: 1, payeeRef: 'p' });
    expect((await fetch(`${sandbox.url}/payouts`, { method: 'POST', body })).status).toBe(400);
  });
});

describe('a payout over HTTP, against a server that answers anything', () => {
  let server: Server;
  let url: string;
  /** Always the same, so that a test has the same name at each run. */
  const one = { ...withdrawal(), id: '01a3185c-5000-7000-8000-000000000001' as WithdrawalId };
  const about = { payoutId: one.id, amountFen: 100 };

  const answering = async (answer: (respond: import('node:http').ServerResponse) => void) => {
    server = createServer((request, response) => {
      request.resume();
      answer(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  };
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });
  const queried = () => createHttpPayout({ url, timeoutMs: 300 }).query(one);

  it.each([
    [200, { ...about, state: 'paid' }, 'paid'],
    [201, { ...about, state: 'processing' }, 'processing'],
    [422, { ...about, state: 'rejected', reason: 'closed account' }, 'rejected'],
    [404, { state: 'unheard-of' }, 'unheard-of'],
    // Not about this payment, or not saying what became of it.
    [200, { ...about, payoutId: '01a3185c-5000-7000-8000-000000000002', state: 'paid' }, 'unknown'],
    [200, { ...about, amountFen: 99, state: 'paid' }, 'unknown'],
    [200, { ...about, amountFen: '100', state: 'paid' }, 'unknown'],
    [200, { state: 'paid' }, 'unknown'],
    [200, { ...about, state: 'PAID' }, 'unknown'],
    [200, { ...about, state: 'unheard-of' }, 'unknown'],
    [200, [], 'unknown'],
    [200, null, 'unknown'],
    [200, 'paid', 'unknown'],
    // A status that speaks against its body, or for somebody else.
    [500, { ...about, state: 'paid' }, 'unknown'],
    [502, { ...about, state: 'rejected' }, 'unknown'],
    [429, { ...about, state: 'rejected' }, 'unknown'],
    [404, { ...about, state: 'paid' }, 'unknown'],
    [404, {}, 'unknown'],
    [401, { error: 'expired' }, 'unknown'],
    [403, {}, 'unknown'],
    [400, {}, 'unknown'],
  ])('%d %j is %s', async (status, body, answer) => {
    await answering((response) => response.writeHead(status).end(JSON.stringify(body)));
    expect((await queried()).answer).toBe(answer);
  });

  it.each<[string, (response: import('node:http').ServerResponse) => void]>([
    ['is not JSON', (response) => response.end('<html>paid</html>')],
    ['is empty', (response) => response.end()],
    ['redirects', (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['cuts the connection', (response) => response.destroy()],
    ['never answers', () => {}],
    ['stops in the middle', (response) => response.write('{"state":"pa')],
    ['is broken in the middle', (response) => response.write('{"state":"pa', () => response.destroy())],
  ])('unknown, when the answer %s', async (_, answer) => {
    await answering(answer);
    expect((await queried()).answer).toBe('unknown');
  });

  it('stops reading an answer that never ends', async () => {
    let sent = 0;
    let closed = false;
    await answering((response) => {
      response.on('close', () => {
        closed = true;
      });
      const more = (): void => {
        if (closed) return;
        sent += 64 << 10;
        if (response.write('x'.repeat(64 << 10))) setImmediate(more);
        else response.once('drain', more);
      };
      more();
    });
    const answer = await createHttpPayout({ url, timeoutMs: 10_000 }).query(one);
    expect(answer).toEqual({ answer: 'unknown', reason: 'the answer is too large' });
    await until(() => closed, 'the connection is given up');
    expect(sent).toBeLessThan(16 << 20);
  });

  it('unknown, when nobody listens', async () => {
    await answering(() => {});
    server.close();
    expect((await queried()).answer).toBe('unknown');
  });

  it.each(['ftp://payout', 'file:///etc/passwd', 'payout', ''])(
    'is not made for the address %j',
    (address) => {
      expect(() => createHttpPayout({ url: address, timeoutMs: 1 })).toThrow();
    },
  );
});
