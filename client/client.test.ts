import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ServerFrameSchema } from '../src/protocol/gen/hongbao/v1/play_pb.ts';
import type { ConnectionState } from './index.ts';
import type { ServerBody } from './link.ts';
import { base64Url, bytes, clientStage, codeOf, packetFrame, walletAnswer } from './testing/client-stage.ts';
import { unsignedJwt } from './testing/jwt.ts';
import { problemAnswer, startScriptedGateway } from './testing/scripted-gateway.ts';
import { goodbye, nothing, problemFrame, welcome } from './testing/scripted-sockets.ts';

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

describe('the client, against a gateway on loopback', () => {
  const stage = clientStage();
  const { newClient, byCase, http, lastBody } = stage;

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
      byCase({ shake: ticketFrame(stage.time.nowMs() + 60_000), open: packetFrame });
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
      await stage.time.advance(7_500);
      await client.shake();
      const shakes = stage.gateway.frames.filter((frame) => frame.case === 'shake');
      expect(shakes.map(({ value }) => [Buffer.from(value.claimRecord).toString(), value.shakes])).toEqual([
        ['', 1],
        ['claim-1', 2],
      ]);
    });

    it('asks once more without a claim record that the server won’t have', async () => {
      byCase({ shake: ticketFrame(0) });
      const client = newClient();
      await client.shake();
      await stage.time.advance(7_500);
      stage.gateway.script.frame = (body) =>
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
      await stage.time.advance(7_500);
      expect((await client.shake()).prize).toBe('nothing');
      await stage.time.advance(7_500);
      byCase({ shake: nothing });
      expect(await client.shake()).toEqual({ prize: 'nothing', local: false });
      await stage.time.advance(7_500);
      expect(await client.shake()).toEqual({ prize: 'nothing', local: false });
    });

    it('does not slow down for a refusal that has nothing to do with load', async () => {
      const client = newClient();
      byCase({ shake: problemFrame('phase-closed') });
      expect(await codeOf(client.shake())).toBe('phase-closed');
      await stage.time.advance(7_500);
      byCase({ shake: nothing });
      expect(await client.shake()).toEqual({ prize: 'nothing', local: false });
    });

    it('keeps a ticket whose opening failed, and drops one that is over', async () => {
      byCase({ shake: ticketFrame(stage.time.nowMs() + 60_000), open: problemFrame('log-unavailable') });
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
      const serverMs = stage.time.nowMs() - 3_600_000;
      stage.gateway.script.frame = (body) =>
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
      const [socket] = stage.gateway.sockets;
      socket!.send(toBinary(ServerFrameSchema, create(ServerFrameSchema, { body: goodbye(500, 3_000) })));
      socket!.close(1001);
      await waiting;
      expect(stage.time.pendingMs()).toEqual([2_000]);
      await stage.time.advance(2_000);
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

  describe('sessions', () => {
    const numbered = (sub = 'alice') => {
      let number = 0;
      return async () => unsignedJwt({ iss: 'app', sub, exp: 9e9, jti: ++number });
    };

    it('come anew when the server says that they have ended, and the request is made again, once', async () => {
      http(problemAnswer('session-expired'), walletAnswer());
      expect((await newClient({ session: numbered() }).wallet()).balanceFen).toBe(188);
      const [first, second] = stage.gateway.requests.map(({ headers }) => headers.authorization);
      expect(first).not.toBe(second);
      http(problemAnswer('session-expired'));
      expect(await codeOf(newClient({ session: numbered() }).wallet())).toBe('session-expired');
      expect(stage.gateway.requests).toHaveLength(4);
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
      expect(stage.gateway.requests).toEqual([]);
    });
  });

  it('says unreachable when nobody is there', async () => {
    const client = newClient();
    await stage.gateway.stop();
    expect(await codeOf(client.wallet())).toBe('unreachable');
    expect(await codeOf(client.connect())).toBe('unreachable');
    stage.gateway = await startScriptedGateway();
  });
});
