import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Bilingual, CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { Player } from '../../guard/player.ts';
import type { Session } from '../../guard/sessions.ts';
import { ERROR_KINDS, type ErrorKind } from '../../protocol/error-kinds.ts';
import { isRefusal, type Refusal, RetryableFault, refuse } from '../../protocol/failures.ts';
import type { Hello } from '../../protocol/gen/hongbao/v1/play_pb.ts';
import {
  decodeClientFrame,
  decodeShakeFast,
  encodeServerFrame,
  encodeShakeResult,
  FRAME_BYTES_MAX,
  frameShakeResult,
  NOTHING_RESULT,
} from '../../protocol/play-frames.ts';
import { mayAsk, newAllowance, type RequestAllowance } from '../../rules/request-allowance.ts';
import type { ThrottleLevel } from '../../rules/throttle.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { OpenedPacket, Play, Prize, ShakeAnswer } from './play.ts';

export interface PlaySocketDeps {
  readonly play: Play;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly authenticate: (jwt: string | undefined) => Promise<Session | Refusal>;
  /** The session as it is by now: its person may have been joined with another. */
  readonly current: (session: Session) => Session;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly throttle: () => ThrottleLevel;
  readonly onShake: (prize: Prize['prize']) => void;
  readonly onProblem: (kind: ErrorKind) => void;
  readonly requestsLimited?: boolean;
}

export interface PlaySocket {
  /** Tells everyone where to go, and closes. */
  close(): Promise<void>;
  connections(): number;
}

const PATH = '/v1/play';
const SUBPROTOCOL = 'hongbao.v1';
const HELLO_WITHIN_MS = 5_000;
const IDLE_MS = 120_000;
/** So long a phone may take to answer that we leave. */
const FAREWELL_MS = 2_000;
/** A reader that lets this much pile up is cut off: it would cost memory that others need. */
const BUFFERED_BYTES_MAX = 64 << 10;
const CLOSING = { goingAway: 1001, policy: 1008, tooLarge: 1009 } as const;

interface Connection {
  readonly socket: WebSocket;
  readonly allowance: RequestAllowance;
  player: Session | undefined;
  campaign: string;
  expiresAtMs: number;
  /** The last claim record that we issued or checked here: the same bytes again need no checksum. */
  claim: Uint8Array;
  throttleLevel: number;
  lastHeardMs: number;
}

/** WebSocket /v1/play: binary frames (proto/hongbao/v1/play.proto), the session in the first one. */
export function attachPlaySocket(server: Server, deps: PlaySocketDeps): PlaySocket {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_BYTES_MAX,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
  const connections = new Set<Connection>();
  let closing = false;

  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => stream.destroy());
    if (closing || new URL(request.url ?? '/', 'http://x').pathname !== PATH) {
      stream.end(
        `HTTP/1.1 ${closing ? '503 Service Unavailable' : '404 Not Found'}\r\nConnection: close\r\n\r\n`,
      );
      return;
    }
    sockets.handleUpgrade(request, stream, head, accept);
  });

  function accept(socket: WebSocket): void {
    const nowMs = deps.clock.monotonicMs();
    const connection: Connection = {
      socket,
      allowance: newAllowance(nowMs),
      player: undefined,
      campaign: '',
      expiresAtMs: 0,
      claim: new Uint8Array(),
      throttleLevel: deps.throttle().level,
      lastHeardMs: nowMs,
    };
    connections.add(connection);
    const helloTimer = setTimeout(
      () => connection.player ?? socket.close(CLOSING.policy, 'no hello'),
      HELLO_WITHIN_MS,
    );
    socket.on('message', (data, isBinary) => {
      // Nobody would hear the answer: a packet that is dealt now would be back only when its slice is counted.
      if (closing) return;
      connection.lastHeardMs = deps.clock.monotonicMs();
      if (isBinary) hear(connection, data as Buffer);
      else tell(connection, 0, refuse('malformed', 'frames are binary'));
    });
    // ws closes by itself with the right code (oversized, reserved bits, unmasked); only the report is ours.
    socket.on('error', (error) =>
      deps.logger.debug({ error: error.message }, 'a connection broke the protocol'),
    );
    socket.on('close', () => {
      clearTimeout(helloTimer);
      connections.delete(connection);
    });
  }

  function hear(connection: Connection, bytes: Buffer): void {
    if (connection.socket.bufferedAmount > BUFFERED_BYTES_MAX) return connection.socket.terminate();
    const fast = connection.player ? decodeShakeFast(bytes) : undefined;
    if (fast) return shake(connection, fast.requestId, fast.claimRecord);
    const frame = decodeClientFrame(bytes);
    if (!frame || frame.body.case === undefined)
      return tell(connection, 0, refuse('malformed', 'not a frame of this protocol'));
    const { requestId, body } = frame;
    switch (body.case) {
      case 'hello':
        return answer(connection, requestId, greet(connection, requestId, body.value));
      case 'shake':
        return shake(connection, requestId, body.value.claimRecord);
      case 'open':
        return answer(connection, requestId, open(connection, requestId, body.value.ticket));
    }
  }

  async function greet(
    connection: Connection,
    requestId: number,
    hello: Hello,
  ): Promise<Refusal | undefined> {
    if (connection.player) return refuse('malformed', 'one hello a connection');
    const campaign = deps.campaign(hello.campaignId);
    if (!campaign) return refuse('campaign-unknown', 'no campaign of this id is in force');
    const session = await deps.authenticate(hello.session);
    if (isRefusal(session)) return session;
    if (!campaign.apps.has(session.appId))
      return refuse('forbidden', 'this app does not take part in the campaign');
    connection.player = session;
    connection.campaign = campaign.id;
    connection.expiresAtMs = session.expiresAtMs;
    send(
      connection,
      encodeServerFrame(requestId, {
        case: 'welcome',
        value: {
          $typeName: 'hongbao.v1.Welcome',
          actId: String(session.actId),
          throttle: throttleMessage(deps.throttle()),
          serverTimeMs: BigInt(deps.clock.now()),
        },
      }),
    );
    return undefined;
  }

  /** Who is asking, and in which campaign; or why not. */
  function admitFrame(connection: Connection): { player: Player; campaign: CampaignSnapshot } | Refusal {
    if (!connection.player) return refuse('session-missing', 'say hello first');
    if (deps.clock.now() >= connection.expiresAtMs)
      return refuse('session-expired', 'connect again with a new session');
    if (deps.requestsLimited !== false && !mayAsk(connection.allowance, deps.clock.monotonicMs()))
      return refuse('throttled', 'too many frames');
    const campaign = deps.campaign(connection.campaign);
    connection.player = deps.current(connection.player);
    return campaign
      ? { player: connection.player, campaign }
      : refuse('campaign-unknown', 'the campaign is over');
  }

  function shake(connection: Connection, requestId: number, claimRecord: Uint8Array): void {
    const admitted = admitFrame(connection);
    if (isRefusal(admitted)) return tell(connection, requestId, admitted);
    const isKnown =
      claimRecord.length === connection.claim.length && Buffer.compare(claimRecord, connection.claim) === 0;
    const answered = deps.play.shake(
      admitted.player,
      admitted.campaign,
      isKnown ? new Uint8Array() : claimRecord,
    );
    const say = (result: ShakeAnswer | Refusal) => {
      if (isRefusal(result)) return tell(connection, requestId, result);
      connection.claim = result.claimRecord ?? (isKnown ? connection.claim : Buffer.from(claimRecord));
      deps.onShake(result.prize.prize);
      send(connection, shakeFrame(requestId, result));
      return tellThrottle(connection);
    };
    if (answered instanceof Promise) answer(connection, requestId, answered.then(say));
    else say(answered);
  }

  async function open(
    connection: Connection,
    requestId: number,
    ticket: Uint8Array,
  ): Promise<Refusal | undefined> {
    const admitted = admitFrame(connection);
    if (isRefusal(admitted)) return admitted;
    const opened = await deps.play.open(admitted.player, admitted.campaign, ticket);
    if (isRefusal(opened)) return opened;
    send(connection, openFrame(requestId, opened));
    return undefined;
  }

  /** Says what came of an act; a fault is told as what it is, and nothing unforeseen ends the process from here. */
  function answer(connection: Connection, requestId: number, act: Promise<Refusal | undefined | void>): void {
    act.then(
      (refusal) => refusal && tell(connection, requestId, refusal),
      (error: unknown) => {
        const kind = error instanceof RetryableFault ? error.kind : 'internal';
        if (kind === 'internal') deps.logger.error({ err: error }, 'a frame could not be answered');
        tell(
          connection,
          requestId,
          refuse(kind, error instanceof RetryableFault ? error.message : 'the log has the details'),
        );
      },
    );
  }

  function tell(connection: Connection, requestId: number, { refused, detail }: Refusal): void {
    deps.onProblem(refused);
    const spec = ERROR_KINDS[refused];
    const forLoad = refused === 'throttled' || refused === 'overloaded';
    send(
      connection,
      encodeServerFrame(requestId, {
        case: 'problem',
        value: {
          $typeName: 'hongbao.v1.Problem',
          code: spec.wireCode,
          detail,
          retryable: spec.retryable,
          ...(forLoad ? { throttle: throttleMessage(deps.throttle()) } : {}),
        },
      }),
    );
  }

  function tellThrottle(connection: Connection): void {
    const throttle = deps.throttle();
    if (throttle.level === connection.throttleLevel) return;
    connection.throttleLevel = throttle.level;
    send(connection, encodeServerFrame(0, { case: 'throttle', value: throttleMessage(throttle) }));
  }

  function send(connection: Connection, bytes: Uint8Array): void {
    if (connection.socket.readyState === connection.socket.OPEN)
      connection.socket.send(bytes, { binary: true, compress: false });
  }

  const idleTimer = setInterval(() => {
    const before = deps.clock.monotonicMs() - IDLE_MS;
    for (const connection of connections) if (connection.lastHeardMs < before) connection.socket.terminate();
  }, IDLE_MS / 4);
  idleTimer.unref();

  return {
    connections: () => connections.size,
    async close() {
      closing = true;
      clearInterval(idleTimer);
      for (const connection of connections) {
        send(
          connection,
          encodeServerFrame(0, {
            case: 'goodbye',
            value: { $typeName: 'hongbao.v1.Goodbye', reconnectAfterMs: 500, jitterMs: 3_000 },
          }),
        );
        connection.socket.close(CLOSING.goingAway, 'closing');
      }
      // A phone that is out of reach never answers; the slices of everybody else must not wait for it.
      setTimeout(() => {
        for (const { socket } of connections) socket.terminate();
      }, FAREWELL_MS).unref();
    },
  };
}

const throttleMessage = (throttle: ThrottleLevel) => ({
  $typeName: 'hongbao.v1.Throttle' as const,
  ...throttle,
});

/** The greetings of a campaign are few and are sent a million times: each is encoded once. */
const greetingResults = new WeakMap<Bilingual, Uint8Array>();

function shakeFrame(requestId: number, { prize, claimRecord }: ShakeAnswer): Uint8Array {
  if (prize.prize === 'nothing') return frameShakeResult(requestId, NOTHING_RESULT);
  const base = {
    $typeName: 'hongbao.v1.ShakeResult' as const,
    claimRecord: (claimRecord ?? new Uint8Array()) as Uint8Array<ArrayBuffer>,
  };
  if (prize.prize === 'greeting') {
    let result = greetingResults.get(prize.text);
    if (!result) {
      const { zh: textZh, en: textEn } = prize.text;
      const value = { $typeName: 'hongbao.v1.Greeting' as const, sponsorId: prize.sponsorId, textZh, textEn };
      result = encodeShakeResult({ ...base, prize: { case: 'greeting', value } });
      greetingResults.set(prize.text, result);
    }
    return frameShakeResult(requestId, result);
  }
  const { sponsor } = prize;
  const value = {
    $typeName: 'hongbao.v1.Ticket' as const,
    ticket: prize.ticket as Uint8Array<ArrayBuffer>,
    sponsorId: sponsor.id,
    sponsorZh: sponsor.name.zh,
    sponsorEn: sponsor.name.en,
    expiresAtMs: BigInt(prize.expiresAtMs),
  };
  return frameShakeResult(requestId, encodeShakeResult({ ...base, prize: { case: 'ticket', value } }));
}

const openFrame = (requestId: number, opened: OpenedPacket): Uint8Array =>
  encodeServerFrame(requestId, {
    case: 'openResult',
    value: {
      $typeName: 'hongbao.v1.OpenResult',
      amountFen: opened.amountFen,
      orderNumber: opened.orderNumber,
      token: opened.token as Uint8Array<ArrayBuffer>,
      billZh: opened.scene.bill.zh,
      billEn: opened.scene.bill.en,
      drawnAtMs: BigInt(opened.order.drawnAtMs),
      sceneId: opened.scene.id,
      rainId: opened.order.rainId,
      sponsorId: opened.scene.sponsorId,
      awardType: opened.order.awardType,
    },
  });
