import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ERROR_KINDS, errorKindOfWireCode } from '../src/protocol/error-kinds.ts';
import {
  type ClientFrame,
  ClientFrameSchema,
  type ServerFrame,
  ServerFrameSchema,
  type Throttle as ThrottleMessage,
} from '../src/protocol/gen/hongbao/v1/play_pb.ts';
import { backOffMs } from './back-off.ts';
import { HongbaoProblem } from './problem.ts';
import type { Throttle } from './shake-coalescer.ts';

export type ConnectionState = 'connecting' | 'open' | 'waiting' | 'closed';
type ClientBody = Exclude<ClientFrame['body'], { case: undefined }>;
type ServerBody = Exclude<ServerFrame['body'], { case: undefined }>;

export interface ConnectionOptions {
  readonly url: string;
  readonly campaignId: string;
  readonly session: () => Promise<string>;
  readonly webSocket: new (url: string, protocols: string[]) => WebSocket;
  readonly random: () => number;
  readonly onState: (state: ConnectionState) => void;
  readonly onThrottle: (throttle: Throttle) => void;
  readonly answerWithinMs?: number;
}

const SUBPROTOCOL = 'hongbao.v1';
const ANSWER_WITHIN_MS = 8_000;
const RECONNECT = { firstMs: 500, maxMs: 30_000 };

/** One WebSocket to the gateway that comes back by itself, spread out in time; requests find their answers by id. */
export class Connection {
  private socket: WebSocket | undefined;
  private ready: Promise<void> | undefined;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private nextId = 1;
  private wanted = true;
  private pauseMs: number | undefined;
  private readonly waiting = new Map<
    number,
    {
      resolve: (body: ServerBody) => void;
      reject: (error: Error) => void;
      timer: ReturnType<typeof setTimeout>;
    }
  >();

  constructor(private readonly options: ConnectionOptions) {}

  /** Resolves once the gateway has welcomed us; rejects when it refuses. */
  connect(): Promise<void> {
    this.wanted = true;
    this.ready ??= this.dial();
    return this.ready;
  }

  async request(body: ClientBody): Promise<ServerBody> {
    await this.connect();
    return this.send(body);
  }

  close(): void {
    this.wanted = false;
    clearTimeout(this.timer);
    this.socket?.close(1000);
    this.options.onState('closed');
  }

  private async dial(): Promise<void> {
    this.options.onState('connecting');
    try {
      const session = await this.options.session();
      await this.open();
      const answer = await this.send({
        case: 'hello',
        value: { $typeName: 'hongbao.v1.Hello', session, campaignId: this.options.campaignId },
      });
      if (answer.case === 'welcome' && answer.value.throttle)
        this.options.onThrottle(throttleOf(answer.value.throttle));
      this.failures = 0;
      this.options.onState('open');
    } catch (error) {
      this.lost();
      throw error;
    }
  }

  private open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = new this.options.webSocket(this.options.url, [SUBPROTOCOL]);
      socket.binaryType = 'arraybuffer';
      this.socket = socket;
      socket.onopen = () => resolve();
      socket.onmessage = (event) => this.hear(event.data as unknown);
      socket.onclose = () => {
        reject(new HongbaoProblem('unreachable', 'The connection was closed', true));
        if (this.socket === socket) this.lost();
      };
      socket.onerror = () => reject(new HongbaoProblem('unreachable', 'No connection', true));
    });
  }

  private send(body: ClientBody): Promise<ServerBody> {
    const requestId = this.nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(requestId);
        reject(new HongbaoProblem('time-out', 'No answer in time', true));
      }, this.options.answerWithinMs ?? ANSWER_WITHIN_MS);
      this.waiting.set(requestId, { resolve, reject, timer });
      const bytes = toBinary(ClientFrameSchema, create(ClientFrameSchema, { requestId, body }));
      if (this.socket?.readyState === 1) this.socket.send(bytes);
      else this.fail(requestId, new HongbaoProblem('unreachable', 'No connection', true));
    });
  }

  private hear(data: unknown): void {
    let frame: ServerFrame;
    try {
      frame = fromBinary(ServerFrameSchema, new Uint8Array(data as ArrayBuffer));
    } catch {
      return;
    }
    const { body, requestId } = frame;
    if (body.case === 'throttle') this.options.onThrottle(throttleOf(body.value));
    if (body.case === 'goodbye') {
      this.pauseMs = body.value.reconnectAfterMs + this.options.random() * body.value.jitterMs;
      return;
    }
    if (body.case === 'problem') {
      if (body.value.throttle) this.options.onThrottle(throttleOf(body.value.throttle));
      const kind = errorKindOfWireCode(body.value.code);
      // The session ended while the connection lived: come back with a fresh one.
      if (kind === 'session-expired') this.socket?.close();
      this.fail(
        requestId,
        new HongbaoProblem(
          kind ?? 'unknown',
          body.value.detail,
          body.value.retryable,
          kind && { en: ERROR_KINDS[kind].en, zh: ERROR_KINDS[kind].zh },
        ),
      );
      return;
    }
    const request = this.waiting.get(requestId);
    if (!request || body.case === undefined) return;
    this.waiting.delete(requestId);
    clearTimeout(request.timer);
    request.resolve(body);
  }

  private fail(requestId: number, error: Error): void {
    const request = this.waiting.get(requestId);
    if (!request) return;
    this.waiting.delete(requestId);
    clearTimeout(request.timer);
    request.reject(error);
  }

  /** Everything that waits is told, and we come back after a while. */
  private lost(): void {
    const socket = this.socket;
    this.socket = undefined;
    this.ready = undefined;
    socket?.close();
    for (const requestId of [...this.waiting.keys()])
      this.fail(requestId, new HongbaoProblem('unreachable', 'The connection was closed', true));
    if (!this.wanted) return;
    this.options.onState('waiting');
    const pauseMs = this.pauseMs ?? backOffMs(this.failures, { ...RECONNECT, random: this.options.random });
    this.pauseMs = undefined;
    this.failures += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.connect().catch(() => {}), pauseMs);
  }
}

const throttleOf = ({ level, intervalMs, jitterMs, localPermille }: ThrottleMessage): Throttle => ({
  level,
  intervalMs,
  jitterMs,
  localPermille,
});
