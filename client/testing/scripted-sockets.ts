import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ERROR_KINDS, type ErrorKind } from '../../src/protocol/error-kinds.ts';
import {
  type ClientFrame,
  ClientFrameSchema,
  ServerFrameSchema,
} from '../../src/protocol/gen/hongbao/v1/play_pb.ts';
import type { ClientBody, ServerBody, SocketConstructor, SocketLike } from '../link.ts';

/** One socket of the client, with the server's end in the test's hand. */
export interface ScriptedSocket extends SocketLike {
  readonly heard: ClientFrame[];
  /** The TCP and WebSocket handshakes succeed. */
  accept(): void;
  say(requestId: number, body: ServerBody): void;
  sayBytes(data: unknown): void;
  hangUp(code?: number): void;
  /** The close code of the client's own close; undefined while it has not. */
  readonly closedWith: number | undefined;
}

export interface ScriptedSockets {
  readonly socket: SocketConstructor;
  readonly all: ScriptedSocket[];
  last(): ScriptedSocket;
}

export function scriptedSockets(): ScriptedSockets {
  const all: ScriptedSocket[] = [];
  class Scripted implements ScriptedSocket {
    binaryType = 'blob';
    readyState = 0;
    onopen: ((event: never) => void) | null = null;
    onmessage: ((event: never) => void) | null = null;
    onclose: ((event: never) => void) | null = null;
    onerror: ((event: never) => void) | null = null;
    closedWith: number | undefined;
    readonly heard: ClientFrame[] = [];
    constructor() {
      all.push(this);
    }
    send(data: Uint8Array<ArrayBuffer>) {
      this.heard.push(fromBinary(ClientFrameSchema, data));
    }
    /** Half open as far as anybody can tell: `onclose` comes when the test says so. */
    close(code?: number) {
      this.closedWith ??= code ?? 1005;
      this.readyState = 2;
    }
    accept() {
      this.readyState = 1;
      this.onopen?.({} as never);
    }
    say(requestId: number, body: ServerBody) {
      this.sayBytes(
        toBinary(ServerFrameSchema, create(ServerFrameSchema, { requestId, body })).slice().buffer,
      );
    }
    sayBytes(data: unknown) {
      this.onmessage?.({ data } as never);
    }
    hangUp(code = 1006) {
      this.readyState = 3;
      this.onclose?.({ code } as never);
    }
  }
  return { socket: Scripted, all, last: () => all.at(-1)! };
}

export const throttleFrame = (level: number, intervalMs: number, jitterMs = 0, localPermille = 0) => ({
  $typeName: 'hongbao.v1.Throttle' as const,
  level,
  intervalMs,
  jitterMs,
  localPermille,
});
export const welcome = (serverTimeMs = 0): ServerBody => ({
  case: 'welcome',
  value: {
    $typeName: 'hongbao.v1.Welcome',
    actId: '1',
    throttle: throttleFrame(0, 5_000, 5_000),
    serverTimeMs: BigInt(serverTimeMs),
  },
});
export const nothing: ServerBody = {
  case: 'shakeResult',
  value: {
    $typeName: 'hongbao.v1.ShakeResult',
    claimRecord: new Uint8Array(),
    prize: { case: 'nothing', value: { $typeName: 'hongbao.v1.Nothing' } },
  },
};
export const problemFrame = (kind: ErrorKind): ServerBody => ({
  case: 'problem',
  value: {
    $typeName: 'hongbao.v1.Problem',
    code: ERROR_KINDS[kind].wireCode,
    detail: kind,
    retryable: ERROR_KINDS[kind].retryable,
  },
});
export const goodbye = (reconnectAfterMs: number, jitterMs: number): ServerBody => ({
  case: 'goodbye',
  value: { $typeName: 'hongbao.v1.Goodbye', reconnectAfterMs, jitterMs },
});
export const aShake: ClientBody = {
  case: 'shake',
  value: { $typeName: 'hongbao.v1.Shake', claimRecord: new Uint8Array(), shakes: 1 },
};
