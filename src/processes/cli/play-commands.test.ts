import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { pretendedEngine } from '../../../test/support/pretended-engine.ts';

const { answers, asked, folder, play } = pretendedEngine();

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

    const [pocket] = readdirSync(path.join(folder(), 'cli'));
    expect(readdirSync(path.join(folder(), 'cli'))).toHaveLength(1);
    expect(statSync(path.join(folder(), 'cli', pocket!)).mode & 0o777).toBe(0o600);
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
    expect(asked.map(({ route }) => route)).toEqual([SHAKES]);
    expect(asked[0]!.headers.authorization).toBe('Bearer x.y.z');
  });

  it('says what to do when the engine gives no demo sessions', async () => {
    delete answers['POST /demo/v1/sessions'];
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
