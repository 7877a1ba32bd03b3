import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Ran, runCommandLine } from '../../../test/support/command-line.ts';
import type { ErrorKind } from '../../protocol/error-kinds.ts';
import { problem } from '../../protocol/problem.ts';

interface Asked {
  readonly route: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}
type Answer = object | ErrorKind;

let folder: string;
let server: Server;
let url: string;
/** What the pretended engine answers, one after the other; the last again and again. */
let answers: Record<string, Answer[]>;
let asked: Asked[];

beforeEach(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'hongbao-cli-'));
  asked = [];
  answers = { 'POST /demo/v1/sessions': [{ session: 'a.b.c', user: 'alice', expiresAtMs: 1 }] };
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const route = `${request.method} ${request.url}`;
      asked.push({
        route,
        headers: request.headers,
        body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {},
      });
      const due = answers[route] ?? ['not-found'];
      const answer = due.length > 1 ? due.shift()! : due[0]!;
      const body = typeof answer === 'string' ? problem(answer, 'as the test wants') : answer;
      response.writeHead(typeof answer === 'string' ? (body as { status: number }).status : 200, {
        'content-type': 'application/json',
      });
      response.end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

const run = (...args: string[]): Promise<Ran> => runCommandLine(args, { HONGBAO_DATA: folder });
const play = (...args: string[]): Promise<Ran> => run(...args, '--url', url);
const engineRuns = () => {
  mkdirSync(path.join(folder, 'run'), { recursive: true });
  const port = Number(new URL(url).port);
  writeFileSync(
    path.join(folder, 'run', 'engine.json'),
    JSON.stringify({
      pid: process.pid,
      port,
      opsPort: port,
      operatorKey: 'hbo_key',
      ledgerUrl: 'postgres://db/x',
      payoutUrl: '',
      demo: true,
      campaign: 'gala',
    }),
  );
};
const routes = () => asked.map(({ route }) => route);

const SHAKES = 'POST /v1/campaigns/gala/shakes';
const PACKETS = 'POST /v1/campaigns/gala/packets';
const WALLET = 'POST /v1/campaigns/gala/wallet';
const WITHDRAWALS = 'POST /v1/campaigns/gala/withdrawals';
const NOTHING = { prize: 'nothing', claimRecord: 'claims-1' };
const TICKET = {
  prize: 'ticket',
  ticket: 'tkt',
  sponsorId: 'tea',
  sponsor: { zh: '茶', en: 'Tea' },
  expiresAtMs: 9,
  claimRecord: 'claims-2',
};
const PACKET = {
  amountFen: 188,
  orderNumber: '1_a_b_cash_live',
  token: 'AAAA',
  bill: { zh: '红包', en: 'Packet' },
  drawnAtMs: 5,
  sponsorId: 'tea',
};

describe('shake', () => {
  it('shakes until something comes, opens it, and keeps what a phone keeps', async () => {
    answers[SHAKES] = [NOTHING, NOTHING, TICKET];
    answers[PACKETS] = [PACKET];
    const ran = await play('shake', '--user', 'alice', '--interval', '0', '--json');
    expect(ran.exitCode).toBe(0);
    expect(ran.json()).toMatchObject({
      user: 'alice',
      campaign: 'gala',
      result: 'packet',
      amountFen: 188,
      orderNumber: '1_a_b_cash_live',
      shakes: 3,
    });
    expect(asked.filter(({ route }) => route === SHAKES).map(({ body }) => body.claimRecord)).toEqual([
      undefined,
      'claims-1',
      'claims-1',
    ]);
    expect(asked.at(-1)).toMatchObject({
      route: PACKETS,
      body: { ticket: 'tkt' },
      headers: { authorization: 'Bearer a.b.c' },
    });

    const [pocket] = readdirSync(path.join(folder, 'cli'));
    expect(readdirSync(path.join(folder, 'cli'))).toHaveLength(1);
    expect(statSync(path.join(folder, 'cli', pocket!)).mode & 0o777).toBe(0o600);
    answers[WALLET] = [
      { balanceFen: 188, creditedFen: 0, outstandingFen: 188, totalIncomeFen: 188, records: [] },
    ];
    await play('wallet', '--user', 'alice');
    expect(asked.at(-1)!.body).toEqual({ tokens: ['AAAA'] });
  });

  it('gives up after --times, and says so without failing', async () => {
    answers[SHAKES] = [NOTHING];
    const ran = await play('shake', '--user', 'alice', '--times', '3', '--interval', '0', '--json');
    expect(ran).toMatchObject({ exitCode: 0 });
    expect(ran.json()).toEqual({ user: 'alice', campaign: 'gala', result: 'nothing', shakes: 3 });
  });

  it('drops a claim record that is not taken any more, and shakes again', async () => {
    answers[SHAKES] = [
      NOTHING,
      'claim-invalid',
      { prize: 'greeting', sponsorId: 'tea', text: { zh: '你好', en: 'Hello' } },
    ];
    const ran = await play('shake', '--user', 'alice', '--interval', '0', '--json');
    expect(ran.json()).toMatchObject({ result: 'greeting', shakes: 2 });
    expect(asked.filter(({ route }) => route === SHAKES).map(({ body }) => body.claimRecord)).toEqual([
      undefined,
      'claims-1',
      undefined,
    ]);
  });

  it('waits when it is told to slow down, and keeps its claim record meanwhile', async () => {
    answers[SHAKES] = [NOTHING, 'throttled', TICKET];
    answers[PACKETS] = ['log-unavailable', PACKET];
    const ran = await play('shake', '--user', 'alice', '--interval', '0', '--json');
    expect(ran.json()).toMatchObject({ result: 'packet', shakes: 2 });
    expect(asked.filter(({ route }) => route === SHAKES).map(({ body }) => body.claimRecord)).toEqual([
      undefined,
      'claims-1',
      'claims-1',
    ]);
  });

  it('shows money in both languages', async () => {
    answers[SHAKES] = [TICKET];
    answers[PACKETS] = [PACKET];
    const { stdout } = await play('shake', '--user', 'alice');
    expect(stdout).toContain('¥1.88');
    expect(stdout).toContain('Tea');
    expect(stdout).toContain('茶');
  });

  it('with --session asks for no demo session', async () => {
    answers[SHAKES] = [NOTHING];
    await play('shake', '--user', 'alice', '--times', '1', '--session', 'x.y.z');
    expect(routes()).toEqual([SHAKES]);
    expect(asked[0]!.headers.authorization).toBe('Bearer x.y.z');
  });

  it('says what to do when the engine gives no demo sessions', async () => {
    answers = {};
    const ran = await play('shake', '--user', 'alice');
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toContain('--session');
  });
});

describe('wallet', () => {
  it('prints what the engine says, and forgets the tokens that were credited', async () => {
    answers[SHAKES] = [TICKET];
    answers[PACKETS] = [PACKET];
    await play('shake', '--user', 'alice');
    const record = {
      kind: 'credit',
      ref: PACKET.orderNumber,
      atMs: 5,
      amountFen: 188,
      status: 'credited',
      bill: PACKET.bill,
    };
    answers[WALLET] = [
      {
        balanceFen: 188,
        creditedFen: 188,
        outstandingFen: 0,
        heldFen: 0,
        totalIncomeFen: 188,
        records: [record],
      },
    ];
    const first = await play('wallet', '--user', 'alice', '--json');
    expect(first.json()).toMatchObject({
      user: 'alice',
      balanceFen: 188,
      creditedFen: 188,
      outstandingFen: 0,
      totalIncomeFen: 188,
      records: [record],
    });
    await play('wallet', '--user', 'alice');
    expect(asked.at(-1)!.body).toEqual({ tokens: [] });
  });
});

describe('withdraw', () => {
  const held = { withdrawalId: 'w1', state: 'held', amountFen: 100, requestedAtMs: 1 };
  it('waits until the money is paid', async () => {
    answers[WITHDRAWALS] = [held];
    answers['GET /v1/campaigns/gala/withdrawals/w1'] = [
      { ...held, state: 'paying' },
      'ledger-unavailable',
      { ...held, state: 'paid', settledAtMs: 2 },
    ];
    const ran = await play('withdraw', '--user', 'alice', '--amount', '100', '--json');
    expect(ran.exitCode).toBe(0);
    expect(ran.json()).toMatchObject({ withdrawalId: 'w1', state: 'paid', amountFen: 100 });
  });
  it('asks again with the same key when the outcome is not known', async () => {
    answers[WITHDRAWALS] = ['outcome-unknown', held];
    expect(
      (await play('withdraw', '--user', 'alice', '--amount', '100', '--no-wait', '--json')).json(),
    ).toMatchObject({ state: 'held' });
    const keys = asked
      .filter(({ route }) => route === WITHDRAWALS)
      .map(({ headers }) => headers['idempotency-key']);
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
  });
  it('that came back ends with 1', async () => {
    answers[WITHDRAWALS] = [{ ...held, state: 'returned' }];
    expect((await play('withdraw', '--user', 'alice', '--amount', '100')).exitCode).toBe(1);
  });
  it('that is refused ends with 1, and the reason', async () => {
    answers[WITHDRAWALS] = ['insufficient-balance'];
    const ran = await play('withdraw', '--user', 'alice', '--amount', '100', '--json');
    expect(ran.exitCode).toBe(1);
    expect(ran.json()).toMatchObject({
      code: 'insufficient-balance',
      error: expect.stringContaining('余额不足') as string,
    });
  });
  it('sends the key that it was given', async () => {
    answers[WITHDRAWALS] = [held];
    await play(
      'withdraw',
      '--user',
      'alice',
      '--amount',
      '100',
      '--no-wait',
      '--idempotency-key',
      'order-42',
    );
    expect(asked.at(-1)!.headers['idempotency-key']).toBe('order-42');
  });
});

describe('used wrongly', () => {
  it.each([
    ...[
      '-5',
      '0',
      '1.5',
      '1e3',
      '１００',
      '',
      ' 1',
      '+1',
      '0x10',
      '01',
      '9007199254740993',
      '99999999999999999999',
      'NaN',
      'all',
    ].map((amount) => ['withdraw', '--user', 'a', '--amount', amount]),
    ...['0', '-1', '1e9', '100001'].map((times) => ['shake', '--user', 'a', '--times', times]),
    ['shake', '--user', 'a', '--interval', '-1'],
    ['withdraw', '--user', 'a'],
    ['withdraw', '--amount', '5'],
    ['shake'],
    ['shake', '--user', 'a', '--session', 'x\ny'],
    ['withdraw', '--user', 'a', '--amount', '5', '--idempotency-key', '钥匙'],
    ['withdraw', '--user', 'a', '--amount', '5', '--idempotency-key', 'k'.repeat(256)],
    ['nonsense'],
    ['shake', '--user', 'a', '--nonsense'],
    ['credit-rate', '1.5'],
    ['credit-rate', '-5'],
    ['credit-rate', '1e3'],
    ['credit-rate', '99999999'],
    ['serve', '--role', 'creditor'],
    ['serve', '--role', 'doorman'],
    ['switch', 'ledger', 'off'],
    ['switch', 'book'],
    ['cue', '0', '--phase', 'live', '--at', 'now'],
    ['cue', '3', '--phase', 'live', '--at', 'soon'],
    ['ledger', 'shards'],
    ['ledger', 'add-shard', 's3', 'mysql://db/x'],
    ['ledger', 'add-shard', 's_3', 'postgres://db/x'],
    ['serve'],
    ['campaign', 'check', '/nowhere.yaml'],
    ['audit'],
    ['completion', 'fish'],
  ])('%s %s %s %s %s: exit 2, and nothing is asked of the engine', async (...args) => {
    engineRuns();
    const ran = await run(...args, '--json');
    expect(ran.exitCode).toBe(2);
    expect(asked).toEqual([]);
    if (!args.includes('nonsense') && args[0] !== 'serve' && args[0] !== 'completion')
      expect(ran.json()).toHaveProperty('error');
  });

  it('an audit that can’t look says so, and is neither clean nor a finding', async () => {
    mkdirSync(path.join(folder, 'journal'), { recursive: true });
    const noLedger = await run('audit', '--json');
    expect(noLedger.exitCode).toBe(2);
    expect(noLedger.json().error).toContain('--ledger');
    const noHistory = await run(
      'audit',
      '--ledger',
      'postgres://x@127.0.0.1:1/x',
      '--history',
      '/nowhere',
      '--json',
    );
    expect(noHistory.exitCode).toBe(2);
    const unreachable = await run('audit', '--ledger', 'postgres://x:secret@127.0.0.1:1/x', '--json');
    expect(unreachable.exitCode).toBe(3);
    expect(unreachable.json()).toMatchObject({ code: 'ledger-unavailable' });
    expect(unreachable.stdout).not.toContain('secret');
    rmSync(path.join(folder, 'journal'), { recursive: true });
  });

  it('says what would be right', async () => {
    const ran = await run('withdraw', '--user', 'a', '--amount', '1e3');
    expect(ran.stderr).toContain('plain digits');
  });

  it('an address that is none is no silent engine', async () => {
    expect((await run('wallet', '--user', 'a', '--url', 'localhost')).exitCode).toBe(2);
    expect((await run('wallet', '--user', 'a', '--url', 'ftp://localhost')).exitCode).toBe(2);
  });

  it('an environment that is wrong is told in full', async () => {
    const ran = await runCommandLine(['wallet', '--user', 'a', '--json'], {
      HONGBAO_PORT: 'x',
      HONGBAO_LEDGER: 'y',
    });
    expect(ran.exitCode).toBe(2);
    expect((ran.json().problems as { variable: string }[]).map(({ variable }) => variable)).toEqual([
      'HONGBAO_PORT',
      'HONGBAO_LEDGER',
    ]);
  });

  it('help and version work whatever the environment is', async () => {
    expect(await runCommandLine(['--help'], { HONGBAO_PORT: 'x' })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('withdraw') as string,
    });
    expect(await runCommandLine(['--version'], { HONGBAO_PORT: 'x' })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
    });
  });
});

describe('without an engine', () => {
  it.each([
    ['wallet', '--user', 'a'],
    ['status'],
    ['keys', 'rotate'],
    ['credit-rate'],
    ['upstream', 'add', 'x', '--scenes', 'a'],
    ['campaign', 'apply', 'examples/gala.yaml'],
  ])('%s ends with 3', async (...args) => {
    const closed = await new Promise<number>((resolve) => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const { port } = probe.address() as { port: number };
        probe.close(() => resolve(port));
      });
    });
    const ran = await runCommandLine([...args, '--json'], {
      HONGBAO_DATA: folder,
      HONGBAO_PORT: String(closed),
    });
    expect(ran.exitCode).toBe(3);
    expect(ran.json()).toMatchObject({ code: 'unreachable' });
  });
});

describe('operations', () => {
  beforeEach(engineRuns);
  it('use the key that the running engine left', async () => {
    answers['PUT /ops/v1/credit-rate'] = [{ creditsPerSecond: 1000 }];
    expect((await run('credit-rate', '1000', '--json')).json()).toEqual({ creditsPerSecond: 1000 });
    expect(asked[0]).toMatchObject({
      body: { creditsPerSecond: 1000 },
      headers: { authorization: 'Bearer hbo_key' },
    });
    answers['PUT /ops/v1/credit-rate'] = [{ creditsPerSecond: null }];
    expect((await run('credit-rate', 'off')).stdout).toContain('not limited');
    expect(asked[1]!.body).toEqual({ creditsPerSecond: null });
  });
  it('rotate keys, add an upstream, apply a campaign, tell the status', async () => {
    answers['POST /ops/v1/keys/rotate'] = [{ keyId: 2 }];
    answers['POST /ops/v1/upstreams'] = [{ secret: 'hbu_x' }];
    answers['POST /ops/v1/campaigns'] = [{ id: 'gala', version: 3 }];
    answers['GET /ops/v1/status'] = [{ backlog: 0 }];
    expect((await run('keys', 'rotate', '--json')).json()).toEqual({ keyId: 2 });
    expect(
      (
        await run('upstream', 'add', 'fireworks', '--campaign', 'gala', '--scenes', 'show,late', '--json')
      ).json(),
    ).toEqual({ name: 'fireworks', campaign: 'gala', secret: 'hbu_x' });
    expect(asked.at(-1)!.body).toEqual({ name: 'fireworks', campaignId: 'gala', scenes: ['show', 'late'] });
    expect((await run('campaign', 'apply', 'examples/gala.yaml', '--json')).json()).toEqual({
      ok: true,
      id: 'gala',
      version: 3,
    });
    expect((await run('status', '--json')).json()).toEqual({ backlog: 0 });
  });
  it('a campaign with mistakes never reaches the engine', async () => {
    const ran = await run('campaign', 'apply', 'examples/broken.yaml', '--json');
    expect(ran.exitCode).toBe(1);
    expect((ran.json().problems as unknown[]).length).toBeGreaterThan(0);
    expect(asked).toEqual([]);
  });
});

describe('what needs no engine', () => {
  it('campaign check: 0 for a good file', async () => {
    expect((await run('campaign', 'check', 'examples/gala.yaml', '--json')).json()).toMatchObject({
      ok: true,
      problems: [],
    });
  });
  it('doctor: each line with its state, 1 when a start would fail', async () => {
    const fine = await run('doctor', '--json');
    const checks = fine.json().checks as { name: string; state: string; detail: string }[];
    expect(checks.map(({ name }) => name)).toEqual([
      'node',
      'postgres',
      'data folder',
      'disk',
      'clock',
      'connectors',
      'session keys',
      'port',
      'operations',
    ]);
    const file = path.join(folder, 'file');
    writeFileSync(file, '');
    const broken = await runCommandLine(['doctor', '--json'], { HONGBAO_DATA: path.join(file, 'below') });
    expect(broken.exitCode).toBe(1);
    expect((broken.json().checks as typeof checks).find(({ name }) => name === 'data folder')).toMatchObject({
      state: 'fail',
      detail: expect.stringContaining('HONGBAO_DATA') as string,
    });
  });
  it('doctor: every mistake of the connectors file, with its line', async () => {
    const check = async (env: Record<string, string>) => {
      const file = 'examples/connectors.yaml';
      const ran = await runCommandLine(['doctor', '--json'], {
        HONGBAO_DATA: folder,
        HONGBAO_CONNECTORS: file,
        ...env,
      });
      const checks = ran.json().checks as { name: string; state: string; detail: string }[];
      return checks.find(({ name }) => name === 'connectors')!;
    };
    expect(await check({ DRINKS_TOKEN: 'a', CINEMA_SECRET: 'b' })).toMatchObject({
      state: 'ok',
      detail: expect.stringMatching(/^drinks-shop, cinema \(version [0-9a-f]{12}\)$/),
    });
    const missing = await check({ DRINKS_TOKEN: 'a', CINEMA_SECRET: '' });
    expect(missing.state).toBe('fail');
    expect(missing.detail).toMatch(/connectors\.yaml:[0-9]+:[0-9]+ .*CINEMA_SECRET is not set/);
    expect(await check({ HONGBAO_CONNECTORS: '/nowhere/at/all.yaml' })).toMatchObject({
      state: 'fail',
      detail: expect.stringContaining('ENOENT') as string,
    });
  });
  it('config print: no secret in it', async () => {
    const ran = await runCommandLine(['config', 'print', '--redact', '--json'], {
      HONGBAO_LEDGER: 'postgres://app:pa55word@db/gala',
    });
    expect(ran.stdout).not.toContain('pa55word');
    expect(ran.json()).toMatchObject({ port: 8080, host: '127.0.0.1' });
  });
  it('completion: every command, in both shells', async () => {
    for (const shell of ['bash', 'zsh']) {
      const { stdout } = await run('completion', shell);
      for (const word of ['withdraw', '--idempotency-key', "'campaign'", 'rotate', '--scenes'])
        expect(stdout).toContain(word);
    }
  });
});
