import { describe, expect, it } from 'vitest';
import { moneyNight } from '../support/money-night.ts';

const url = '/v1/campaigns/gala/wallet';

describe('the wallet over HTTP', () => {
  const night = moneyNight('wallet-http');

  it('answers in JSON, amounts in fen as numbers', async () => {
    await night.rig.ledger.credit([night.orderOf(1)]);
    const order = night.orderOf(2);
    await night.promises.promise([order]);
    const got = await night.money.ask(night.person, { url });
    expect([got.statusCode, got.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
    expect(got.json()).toMatchObject({
      balanceFen: 203,
      creditedFen: 101,
      outstandingFen: 102,
      heldFen: 0,
      totalIncomeFen: 203,
      refusedTokens: [],
      records: [
        {
          kind: 'credit',
          ref: order.orderNumber,
          atMs: order.drawnAtMs,
          amountFen: 102,
          status: 'outstanding',
          bill: { zh: '红包雨', en: 'Packet rain' },
          sceneId: 'cash',
          rainId: 2,
        },
        { status: 'credited' },
      ],
    });
    const posted = await night.money.ask(night.person, { method: 'POST', url, payload: { tokens: ['x'] } });
    expect(posted.json()).toEqual({
      ...got.json(),
      refusedTokens: [{ index: 0, code: 'token-malformed' }],
    });
  });

  it('turns pages by its cursor', async () => {
    await night.promises.promise(Array.from({ length: 45 }, (_, at) => night.orderOf(at + 1)));
    const first = (await night.money.ask(night.person, { url })).json();
    const records = [...first.records];
    let cursor = first.nextCursor;
    while (cursor !== undefined) {
      const page = (
        await night.money.ask(night.person, { url: `${url}/records`, query: { cursor, limit: '13' } })
      ).json();
      records.push(...page.records);
      cursor = page.nextCursor;
    }
    expect(records.map((record) => record.rainId)).toEqual(Array.from({ length: 45 }, (_, at) => 45 - at));
  });

  it.each(['0', '101', '-1', '1e1', '1.5', '', 'abc', '１０', '010', '9'.repeat(400)])(
    'takes no limit of %j',
    async (limit) => {
      const answer = await night.money.ask(night.person, { url: `${url}/records`, query: { limit } });
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'malformed']);
    },
  );

  it.each(['', 'x', '../..', 'e30', '%00', "1|a' OR 1=1", 'A'.repeat(5_000)])(
    'takes no cursor of %j',
    async (cursor) => {
      const answer = await night.money.ask(night.person, { url: `${url}/records`, query: { cursor } });
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'cursor-invalid']);
    },
  );

  it.each<[string, number, string]>([
    ['', 400, 'malformed'],
    ['null', 400, 'malformed'],
    ['[]', 400, 'malformed'],
    ['{}', 400, 'malformed'],
    ['{"tokens":null}', 400, 'malformed'],
    ['{"tokens":"a"}', 400, 'malformed'],
    ['{"tokens":[1]}', 400, 'malformed'],
    ['{"tokens":[null]}', 400, 'malformed'],
    ['{"tokens":[["a"]]}', 400, 'malformed'],
    ['{"tokens":[],"more":1}', 400, 'malformed'],
    ['{"tokens":', 400, 'malformed'],
    [`{"tokens":[${Array.from({ length: 201 }, () => '"a"').join()}]}`, 400, 'too-many-tokens'],
    [`{"tokens":["${'a'.repeat(400_000)}"]}`, 413, 'too-large'],
  ])('refuses the body %.40s', async (payload, status, code) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await night.money.ask(night.person, { method: 'POST', url, payload, headers });
    expect([answer.statusCode, answer.json().code]).toEqual([status, code]);
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });

  it('takes as many and as long tokens as it says', async () => {
    const tokens = Array.from({ length: 200 }, () => 'A'.repeat(1_366));
    const answer = await night.money.ask(night.person, { method: 'POST', url, payload: { tokens } });
    expect([answer.statusCode, answer.json().refusedTokens.length]).toEqual([200, 200]);
  });

  it.each([
    ['GET', url],
    ['POST', url],
    ['GET', `${url}/records`],
  ] as const)('%s %s shows nothing without a session, and none of another campaign', async (method, path) => {
    const payload = method === 'POST' ? { payload: { tokens: [] } } : {};
    const nobody = await night.money.ask(undefined, { method, url: path, ...payload });
    expect([nobody.statusCode, nobody.json().code]).toEqual([401, 'session-missing']);
    const other = await night.money.ask(night.person, {
      method,
      url: path.replace('gala', 'other'),
      ...payload,
    });
    expect([other.statusCode, other.json().code]).toEqual([404, 'campaign-unknown']);
  });
});
