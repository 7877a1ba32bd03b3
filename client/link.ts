import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type ClientFrame,
  ClientFrameSchema,
  type ServerFrame,
  ServerFrameSchema,
  type Throttle as ThrottleMessage,
} from '../src/protocol/gen/hongbao/v1/play_pb.ts';
import { HongbaoProblem, problemOfFrame } from './problem.ts';
import type { Throttle } from './shake-coalescer.ts';
import type { Timers } from './timers.ts';

export type ClientBody = Exclude<ClientFrame['body'], { case: undefined }>;
export type ServerBody = Exclude<ServerFrame['body'], { case: undefined }>;

/** What we use of a WebSocket: the browser's, Node 22's, and that of `ws` have it. */
export interface SocketLike {
  binaryType: string;
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
}
export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

/** The server's wish for the time after a connection: come back after this, and up to so much later. */
export interface ReturnHint {
  readonly afterMs: number;
  readonly jitterMs: number;
}

export interface LinkOptions {
  readonly url: string;
  readonly socket: SocketConstructor;
  readonly timers: Timers;
  readonly answerWithinMs: number;
  readonly onThrottle: (throttle: Throttle) => void;
}

/** One socket, from dialling to its end. Everything that was asked on it is answered or rejected with it. */
export interface Link {
  /** Rejects when there is no connection in time. */
  readonly opened: Promise<void>;
  /** Resolves once, whoever ended it, with the server's wish where it had one. */
  readonly ended: Promise<ReturnHint | undefined>;
  ask(body: ClientBody): Promise<ServerBody>;
  end(): void;
}

const SUBPROTOCOL = 'hongbao.v1';
const OPEN = 1;
const NORMAL = 1000;
const GOING_AWAY = 1001;
/** A server that goes away takes all its phones with it: also without a word from it they come back spread out. */
const GOING_AWAY_HINT: ReturnHint = { afterMs: 500, jitterMs: 5_000 };

interface Waiting {
  readonly resolve: (body: ServerBody) => void;
  readonly reject: (problem: HongbaoProblem) => void;
  readonly calledOff: () => void;
}

const unreachable = (detail: string): HongbaoProblem => new HongbaoProblem('unreachable', detail, true);

export function openLink(options: LinkOptions): Link {
  const { timers, answerWithinMs } = options;
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let heard = 0;
  let isOver = false;
  let hint: ReturnHint | undefined;
  let settleEnded: (hint: ReturnHint | undefined) => void;
  const ended = new Promise<ReturnHint | undefined>((resolve) => {
    settleEnded = resolve;
  });

  const socket = new options.socket(options.url, [SUBPROTOCOL]);
  socket.binaryType = 'arraybuffer';

  const opened = new Promise<void>((resolve, reject) => {
    const calledOff = timers.after(answerWithinMs, () => finish('No connection in time'));
    socket.onopen = () => {
      calledOff();
      resolve();
    };
    void ended.then(() => {
      calledOff();
      reject(unreachable('No connection'));
    });
  });
  // Whoever only looks at `ended` has heard of it there.
  opened.catch(() => {});
  socket.onmessage = (event: { data: unknown }) => hear(event.data);
  socket.onerror = () => finish('No connection');
  socket.onclose = (event: { code?: number }) => {
    if (event.code === GOING_AWAY) hint ??= GOING_AWAY_HINT;
    finish('The connection was closed');
  };

  function finish(why: string): void {
    if (isOver) return;
    isOver = true;
    // A half-open socket takes minutes to say that it has closed: nobody waits for it.
    socket.close(NORMAL);
    for (const requestId of [...waiting.keys()]) take(requestId)?.reject(unreachable(why));
    settleEnded(hint);
  }

  function take(requestId: number): Waiting | undefined {
    const request = waiting.get(requestId);
    waiting.delete(requestId);
    request?.calledOff();
    return request;
  }

  function hear(data: unknown): void {
    if (isOver) return;
    const frame = decode(data);
    if (!frame) return;
    heard += 1;
    const { body, requestId } = frame;
    switch (body.case) {
      case undefined:
        return;
      case 'throttle':
        return options.onThrottle(throttleOf(body.value));
      case 'goodbye':
        hint = { afterMs: body.value.reconnectAfterMs, jitterMs: body.value.jitterMs };
        return;
      case 'problem':
        if (body.value.throttle) options.onThrottle(throttleOf(body.value.throttle));
        take(requestId)?.reject(problemOfFrame(body.value));
        return;
      case 'welcome':
        if (body.value.throttle) options.onThrottle(throttleOf(body.value.throttle));
        take(requestId)?.resolve(body);
        return;
      default:
        take(requestId)?.resolve(body);
    }
  }

  return {
    opened,
    ended,
    ask(body) {
      if (isOver || socket.readyState !== OPEN) return Promise.reject(unreachable('No connection'));
      lastId += 1;
      const requestId = lastId;
      return new Promise((resolve, reject) => {
        const heardBefore = heard;
        const calledOff = timers.after(answerWithinMs, () => {
          take(requestId)?.reject(new HongbaoProblem('time-out', 'No answer in time', true));
          // Asked, and not a word since: half open. A server that is merely slow for one keeps its connection.
          if (heard === heardBefore) finish('The connection was silent');
        });
        waiting.set(requestId, { resolve, reject, calledOff });
        try {
          socket.send(toBinary(ClientFrameSchema, create(ClientFrameSchema, { requestId, body })));
        } catch {
          finish('No connection');
        }
      });
    },
    end: () => finish('The connection was closed'),
  };
}

/** A server's frame; undefined when it is none. */
function decode(data: unknown): ServerFrame | undefined {
  if (!(data instanceof ArrayBuffer)) return undefined;
  try {
    return fromBinary(ServerFrameSchema, new Uint8Array(data));
  } catch {
    return undefined;
  }
}

const throttleOf = ({ level, intervalMs, jitterMs, localPermille }: ThrottleMessage): Throttle => ({
  level,
  intervalMs,
  jitterMs,
  localPermille,
});
