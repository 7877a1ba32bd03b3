import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { ServerFrameSchema } from '../src/protocol/gen/hongbao/v1/play_pb.ts';
import {
  type ClientOptions,
  type ConnectionState,
  createHongbaoClient,
  type HongbaoClient,
  HongbaoProblem,
  memoryStore,
} from './index.ts';
import type { ClientBody, ServerBody } from './link.ts';
import { unsignedJwt } from './testing/jwt.ts';
import { createManualTime, type ManualTime } from './testing/manual-time.ts';
import {
  type HttpAnswer,
  problemAnswer,
  type ScriptedGateway,
  startScriptedGateway,
} from './testing/scripted-gateway.ts';
import { goodbye, nothing, problemFrame, welcome } from './testing/scripted-sockets.ts';

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text).slice();
const base64Url = (text: string): string => Buffer.from(text).toString('base64url');
const ticketFrame = (expiresAtMs: number, claimRecord = 'claim-1'): ServerBody => ({
  case: 'shakeResult',
  value: {
    $typeName: 'hongbao.v1.ShakeResult',
    claimRecord: bytes(claimRecord),
    prize: {
      case: 'ticket',
      value: {
        $typeName: 'hongbao.v1.Ticket',
        ticket: bytes('ticket-1'),
        sponsorId: 'panda',
        sponsorZh: '熊猫',
        sponsorEn: 'Panda',
        expiresAtMs: BigInt(expiresAtMs),
      },
    },
  },
});
const packetFrame: ServerBody = {
  case: 'openResult',
  value: {
    $typeName: 'hongbao.v1.OpenResult',
    amountFen: 188n,
    orderNumber: '1_a_1_1_1',
    token: bytes('token-1'),
    billZh: '熊猫红包',
    billEn: 'Packet from Panda',
    drawnAtMs: 5n,
    sceneId: 'a',
    rainId: 1,
    sponsorId: 'panda',
    awardType: 'cash',
  },
};
const credit = (ref: string, status: string) => ({
  kind: 'credit',
  ref,
  atMs: 5,
  amountFen: 188,
  status,
  bill: { zh: '', en: '' },
});
const walletAnswer = (more: object = {}): HttpAnswer => ({
  status: 200,
  json: {
    balanceFen: 188,
    creditedFen: 0,
    outstandingFen: 188,
    heldFen: 0,
    totalIncomeFen: 188,
    records: [],
    refusedTokens: [],
    ...more,
  },
});
const held: HttpAnswer = {
  status: 202,
  json: { withdrawalId: 'w1', state: 'held', amountFen: 100, requestedAtMs: 5 },
};

describe('the client, against a gateway on loopback', () => {
  let gateway: ScriptedGateway;
  let time: ManualTime;
  let storage: ReturnType<typeof memoryStore>;
  const clients: HongbaoClient[] = [];

  beforeEach(async () => {
    gateway = await startScriptedGateway();
    time = createManualTime();
    storage = memoryStore();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await gateway.stop();
  });

  let keys = 0;
  function newClient(options: Partial<ClientOptions> = {}): HongbaoClient {
    const client = createHongbaoClient({
      baseUrl: gateway.url,
      campaignId: 'gala',
      session: async () => unsignedJwt({ iss: 'app', sub: 'alice', exp: 9e9 }),
      storage,
      webSocket: WebSocket,
      nowMs: time.nowMs,
      timers: time.timers,
      random: () => 0.5,
      newKey: () => `key-${++keys}`,
      ...options,
    });
    clients.push(client);
    return client;
  }
  const codeOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'none',
      (error: unknown) => (error instanceof HongbaoProblem ? error.code : `not a HongbaoProblem: ${error}`),
    );
  const byCase = (answers: Partial<Record<NonNullable<ClientBody['case']>, ServerBody>>) => {
    gateway.script.frame = (body) => answers[body.case];
  };
  /** Answers once with each, and then for ever with the last. */
  const http = (...answers: HttpAnswer[]) => {
    let next = 0;
    gateway.script.http = () => answers[Math.min(next++, answers.length - 1)]!;
  };
  const lastBody = () => gateway.requests.at(-1)!.body;
  /** Until the test's server has heard it. */
  const heard = async (count: number) => {
    while (gateway.requests.length < count) await new Promise((resolve) => setImmediate(resolve));
  };

  describe('playing', () => {
    it.each([
      ['drinks-coupon', 'drinks-coupon'],
      // From a gateway that does not say it.
      ['', 'cash'],
    ])('tells what kind of award a packet is: %j', async (awardType, told) => {
      byCase({
        open: { ...packetFrame, value: { ...packetFrame.value, amountFen: 0n, awardType } as never },
      });
      const packet = await newClient().open(base64Url('ticket-1'));
      expect(packet).toMatchObject({ awardType: told, amountFen: 0 });
    });

    it('shakes, opens, keeps the token and shows it with the wallet', async () => {
      byCase({ shake: ticketFrame(time.nowMs() + 60_000), open: packetFrame });
      http(walletAnswer());
      const client = newClient();
      const prize = await client.shake();
      expect(prize).toMatchObject({ prize: 'ticket', sponsor: { zh: '熊猫', en: 'Panda' } });
      const [kept] = await client.unopened();
      const packet = await client.open(kept!.ticket);
      expect(packet).toMatchObject({ awardType: 'cash', amountFen: 188, orderNumber: '1_a_1_1_1' });
      expect(await client.unopened()).toEqual([]);
      expect((await client.wallet()).balanceFen).toBe(188);
      expect(lastBody()).toEqual({ tokens: [base64Url('token-1')] });
    });

    it('answers here until the next request is due, and then carries the claim record', async () => {
      byCase({ shake: ticketFrame(0) });
      const client = newClient();
      await client.shake();
      expect(await client.shake()).toEqual({ prize: 'nothing', local: true });
      await time.advance(7_500);
      await client.shake();
      const shakes = gateway.frames.filter((frame) => frame.case === 'shake');
      expect(shakes.map(({ value }) => [Buffer.from(value.claimRecord).toString(), value.shakes])).toEqual([
        ['', 1],
        ['claim-1', 2],
      ]);
    });

    it('asks once more without a claim record that the server won’t have', async () => {
      byCase({ shake: ticketFrame(0) });
      const client = newClient();
      await client.shake();
      await time.advance(7_500);
      gateway.script.frame = (body) =>
        body.case !== 'shake'
          ? undefined
          : body.value.claimRecord.length > 0
            ? problemFrame('claim-invalid')
            : nothing;
      expect(await client.shake()).toEqual({ prize: 'nothing', local: false });
    });

    it('slows down for a refusal for load and is back at the server’s pace after an answer', async () => {
      const client = newClient();
      byCase({ shake: problemFrame('overloaded') });
      expect(await codeOf(client.shake())).toBe('overloaded');
      await time.advance(7_500);
      expect((await client.shake()).prize).toBe('nothing');
      await time.advance(7_500);
      byCase({ shake: nothing });
      expect(await client.shake()).toEqual({ prize: 'nothing', local: false });
      await time.advance(7_500);
      expect(await client.shake()).toEqual({ prize: 'nothing', local: false });
    });

    it('does not slow down for a refusal that has nothing to do with load', async () => {
      const client = newClient();
      byCase({ shake: problemFrame('phase-closed') });
      expect(await codeOf(client.shake())).toBe('phase-closed');
      await time.advance(7_500);
      byCase({ shake: nothing });
      expect(await client.shake()).toEqual({ prize: 'nothing', local: false });
    });

    it('keeps a ticket whose opening failed, and drops one that is over', async () => {
      byCase({ shake: ticketFrame(time.nowMs() + 60_000), open: problemFrame('log-unavailable') });
      const client = newClient();
      await client.shake();
      const [kept] = await client.unopened();
      expect(await codeOf(client.open(kept!.ticket))).toBe('log-unavailable');
      expect(await newClient().unopened()).toEqual([kept]);
      byCase({ open: problemFrame('ticket-expired') });
      expect(await codeOf(client.open(kept!.ticket))).toBe('ticket-expired');
      expect(await client.unopened()).toEqual([]);
    });

    it('judges a ticket’s end by the server’s clock, not by the phone’s', async () => {
      const serverMs = time.nowMs() - 3_600_000;
      gateway.script.frame = (body) =>
        body.case === 'hello' ? welcome(serverMs) : ticketFrame(serverMs + 60_000);
      const client = newClient();
      await client.shake();
      expect(await client.unopened()).toHaveLength(1);
    });

    it.each(['', 'a', 'not base64url!'])('refuses "%s" as a ticket by itself', async (ticket) => {
      expect(await codeOf(newClient().open(ticket))).toBe('ticket-invalid');
    });

    it('tells its state, and comes back where the server says when', async () => {
      const client = newClient();
      const states: ConnectionState[] = [];
      client.on('state', (state) => states.push(state));
      await client.connect();
      const waiting = new Promise<void>((resolve) => {
        client.on('state', (state) => state === 'waiting' && resolve());
      });
      const open = new Promise<void>((resolve) => {
        client.on('state', (state) => state === 'open' && resolve());
      });
      const [socket] = gateway.sockets;
      socket!.send(toBinary(ServerFrameSchema, create(ServerFrameSchema, { body: goodbye(500, 3_000) })));
      socket!.close(1001);
      await waiting;
      expect(time.pendingMs()).toEqual([2_000]);
      await time.advance(2_000);
      await open;
      expect(states).toEqual(['connecting', 'open', 'waiting', 'connecting', 'open']);
    });

    it('tells how often the server wants to be asked', async () => {
      const client = newClient();
      const levels: number[] = [];
      client.on('throttle', ({ level }) => levels.push(level));
      await client.connect();
      expect([levels, client.throttle().level]).toEqual([[0], 0]);
    });
  });

  describe('the wallet', () => {
    /** A client that keeps tokens of these orders. */
    async function withTokens(...orderNumbers: string[]): Promise<HongbaoClient> {
      const client = newClient();
      for (const orderNumber of orderNumbers) {
        gateway.script.frame = (body) =>
          body.case === 'open'
            ? {
                ...packetFrame,
                value: { ...packetFrame.value, orderNumber, token: bytes(orderNumber) } as never,
              }
            : undefined;
        await client.open(base64Url('some ticket'));
        await time.advance(1);
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
      expect(gateway.requests.at(-1)!.path).toContain('cursor=cursor');
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
      gateway.script.http = ({ method, path }) =>
        method === 'POST' && path.endsWith('/awards/1_tea_1_drinks-coupon_live/use')
          ? { status: 200, json: award('used') }
          : { status: 404, json: {} };
      const client = newClient();
      expect(await client.useAward('1_tea_1_drinks-coupon_live')).toEqual(award('used'));
      expect(await client.useAward('1_tea_1_drinks-coupon_live')).toEqual(award('used'));
    });
  });

  describe('withdrawing', () => {
    const keysSent = () => gateway.requests.map(({ headers }) => headers['idempotency-key']);

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
      expect(await client.unconfirmedWithdrawals()).toEqual([{ amountFen: 100, askedAtMs: time.nowMs() }]);
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
      await time.advance(8_000);
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
      expect(gateway.requests).toEqual([]);
    });
  });

  describe('sessions', () => {
    const numbered = (sub = 'alice') => {
      let number = 0;
      return async () => unsignedJwt({ iss: 'app', sub, exp: 9e9, jti: ++number });
    };

    it('come anew when the server says that they have ended, and the request is made again, once', async () => {
      http(problemAnswer('session-expired'), walletAnswer());
      expect((await newClient({ session: numbered() }).wallet()).balanceFen).toBe(188);
      const [first, second] = gateway.requests.map(({ headers }) => headers.authorization);
      expect(first).not.toBe(second);
      http(problemAnswer('session-expired'));
      expect(await codeOf(newClient({ session: numbered() }).wallet())).toBe('session-expired');
      expect(gateway.requests).toHaveLength(4);
    });

    it('keep two people on one phone apart, by themselves', async () => {
      byCase({ open: packetFrame });
      http(walletAnswer());
      const alice = newClient({ session: numbered('alice') });
      await alice.open(base64Url('some ticket'));
      await newClient({ session: numbered('bob') }).wallet();
      expect(lastBody()).toEqual({ tokens: [] });
      await newClient({ session: numbered('alice') }).wallet();
      expect(lastBody()).toEqual({ tokens: [base64Url('token-1')] });
    });

    it('that fail to come are told, and nothing is asked', async () => {
      const client = newClient({ session: () => Promise.reject(new Error('offline')) });
      for (const act of [
        client.shake(),
        client.wallet(),
        client.withdraw(1),
        client.unopened(),
        client.campaign(),
      ])
        expect(await codeOf(act)).toBe('session-unavailable');
      expect(gateway.requests).toEqual([]);
    });
  });

  it('says unreachable when nobody is there', async () => {
    const client = newClient();
    await gateway.stop();
    expect(await codeOf(client.wallet())).toBe('unreachable');
    expect(await codeOf(client.connect())).toBe('unreachable');
    gateway = await startScriptedGateway();
  });
});
