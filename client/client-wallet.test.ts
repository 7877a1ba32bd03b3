import { describe, expect, it } from 'vitest';
import type { HongbaoClient } from './index.ts';
import { base64Url, bytes, clientStage, codeOf, packetFrame, walletAnswer } from './testing/client-stage.ts';
import { type HttpAnswer, problemAnswer } from './testing/scripted-gateway.ts';

const credit = (ref: string, status: string) => ({
  kind: 'credit',
  ref,
  atMs: 5,
  amountFen: 188,
  status,
  bill: { zh: '', en: '' },
});
const held: HttpAnswer = {
  status: 202,
  json: { withdrawalId: 'w1', state: 'held', amountFen: 100, requestedAtMs: 5 },
};

describe('the client’s money, against a gateway on loopback', () => {
  const stage = clientStage();
  const { newClient, http, lastBody } = stage;
  /** Until the test's server has heard it. */
  const heard = async (count: number) => {
    while (stage.gateway.requests.length < count) await new Promise((resolve) => setImmediate(resolve));
  };

  describe('the wallet', () => {
    /** A client that keeps tokens of these orders. */
    async function withTokens(...orderNumbers: string[]): Promise<HongbaoClient> {
      const client = newClient();
      for (const orderNumber of orderNumbers) {
        stage.gateway.script.frame = (body) =>
          body.case === 'open'
            ? {
                ...packetFrame,
                value: { ...packetFrame.value, orderNumber, token: bytes(orderNumber) } as never,
              }
            : undefined;
        await client.open(base64Url('some ticket'));
        await stage.time.advance(1);
      }
      return client;
    }
    const sent = () =>
      (lastBody() as { tokens: string[] }).tokens.map((token) => Buffer.from(token, 'base64url').toString());

    it('drops the tokens that its first page shows as credited', async () => {
      const client = await withTokens('a', 'b');
      http(walletAnswer({ records: [credit('a', 'credited'), credit('b', 'outstanding')] }));
      await client.wallet();
      await client.wallet();
      expect(sent()).toEqual(['b']);
    });

    it('drops the tokens that a later page shows as credited', async () => {
      const client = await withTokens('a', 'b');
      http(
        { status: 200, json: { records: [credit('a', 'credited'), credit('b', 'outstanding')] } },
        walletAnswer(),
      );
      await client.records('cursor');
      expect(stage.gateway.requests.at(-1)!.path).toContain('cursor=cursor');
      await client.wallet();
      expect(sent()).toEqual(['b']);
    });

    it('drops all that was taken once nothing is outstanding, on whichever page it stands', async () => {
      const client = await withTokens('a', 'b');
      http(walletAnswer({ outstandingFen: 0, refusedTokens: [{ index: 1, code: 'token-key-unknown' }] }));
      await client.wallet();
      await client.wallet();
      expect(sent()).toEqual(['b']);
    });

    it.each([
      ['token-malformed', []],
      ['token-signature-invalid', []],
      ['token-undecryptable', []],
      ['token-foreign', []],
      ['token-wrong-campaign', []],
      ['token-wrong-phase', ['a']],
      ['token-key-unknown', ['a']],
      ['log-unavailable', ['a']],
    ])('after %s it still keeps %j', async (code, kept) => {
      const client = await withTokens('a');
      http(walletAnswer({ outstandingFen: 0, refusedTokens: [{ index: 0, code }] }));
      await client.wallet();
      await client.wallet();
      expect(sent()).toEqual(kept);
    });

    it('keeps everything when the wallet can’t be read', async () => {
      const client = await withTokens('a');
      http(problemAnswer('ledger-unavailable'), walletAnswer());
      expect(await codeOf(client.wallet())).toBe('ledger-unavailable');
      await client.wallet();
      expect(sent()).toEqual(['a']);
    });
  });

  describe('awards', () => {
    const award = (state: string) => ({
      orderNumber: '1_tea_1_drinks-coupon_live',
      awardType: 'drinks-coupon',
      state,
      worthFen: 1_000,
      drawnAtMs: 5,
      bill: { zh: '', en: '' },
    });

    it('are used by their order number, as often as it is asked', async () => {
      stage.gateway.script.http = ({ method, path }) =>
        method === 'POST' && path.endsWith('/awards/1_tea_1_drinks-coupon_live/use')
          ? { status: 200, json: award('used') }
          : { status: 404, json: {} };
      const client = newClient();
      expect(await client.useAward('1_tea_1_drinks-coupon_live')).toEqual(award('used'));
      expect(await client.useAward('1_tea_1_drinks-coupon_live')).toEqual(award('used'));
    });
  });

  describe('withdrawing', () => {
    const keysSent = () => stage.gateway.requests.map(({ headers }) => headers['idempotency-key']);

    it.each<[string, HttpAnswer]>([
      ['a cut connection', 'cut'],
      ['a fault of the server', problemAnswer('outcome-unknown')],
      ['the same request being worked on', problemAnswer('idempotency-in-flight')],
      ['a login page of the hotel', { status: 200, text: '<html>Welcome, guest!</html>' }],
      ['an empty success', { status: 202, text: '{}' }],
      ['a gateway’s gateway', { status: 502, text: 'Bad gateway' }],
    ])('asks under the same key after %s', async (_, first) => {
      http(first, held, held);
      const client = newClient();
      const problem = await client.withdraw(100).catch((error: unknown) => error);
      expect(problem).toMatchObject({ name: 'HongbaoProblem', retryable: true });
      expect(await client.unconfirmedWithdrawals()).toEqual([
        { amountFen: 100, askedAtMs: stage.time.nowMs() },
      ]);
      expect(await newClient().withdraw(100)).toMatchObject({ withdrawalId: 'w1' });
      expect(await client.unconfirmedWithdrawals()).toEqual([]);
      await client.withdraw(100);
      const [lost, again, next] = keysSent();
      expect(again).toBe(lost);
      expect(next).not.toBe(lost);
    });

    it('asks under the same key after no answer in time', async () => {
      http('silence', held);
      const client = newClient();
      const code = codeOf(client.withdraw(100));
      await heard(1);
      await stage.time.advance(8_000);
      expect(await code).toBe('time-out');
      await client.withdraw(100);
      expect(keysSent()[1]).toBe(keysSent()[0]);
    });

    it.each(['insufficient-balance', 'idempotency-key-reused'] as const)(
      'takes a new key after %s: no money is held under the old one',
      async (kind) => {
        http(problemAnswer(kind), held);
        const client = newClient();
        expect(await codeOf(client.withdraw(100))).toBe(kind);
        expect(await client.unconfirmedWithdrawals()).toEqual([]);
        await client.withdraw(100);
        expect(keysSent()[1]).not.toBe(keysSent()[0]);
      },
    );

    it('keeps each amount’s key apart', async () => {
      http('cut');
      const client = newClient();
      await codeOf(client.withdraw(100));
      await codeOf(client.withdraw(50));
      await codeOf(client.withdraw(100));
      const [hundred, fifty, again] = keysSent();
      expect(again).toBe(hundred);
      expect(fifty).not.toBe(hundred);
    });

    it.each([0, -1, 0.5, Number.NaN, 2 ** 53])('refuses %d fen by itself', async (fen) => {
      expect(await codeOf(newClient().withdraw(fen))).toBe('amount-invalid');
      expect(stage.gateway.requests).toEqual([]);
    });
  });
});
