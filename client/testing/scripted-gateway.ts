import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type WebSocket, WebSocketServer } from 'ws';
import { ERROR_KINDS, type ErrorKind } from '../../src/protocol/error-kinds.ts';
import { ClientFrameSchema, ServerFrameSchema } from '../../src/protocol/gen/hongbao/v1/play_pb.ts';
import type { ClientBody, ServerBody } from '../link.ts';
import { welcome } from './scripted-sockets.ts';

export interface HeardRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}
export type HttpAnswer =
  | { readonly status: number; readonly json: unknown }
  | { readonly status: number; readonly text: string }
  /** The request is read and never answered. */
  | 'silence'
  /** The connection is cut after the request was read. */
  | 'cut';

export interface Script {
  /** What a frame is answered with; undefined: nothing is. By default hello is welcomed. */
  frame?: (body: ClientBody, socket: WebSocket) => ServerBody | undefined;
  http?: (request: HeardRequest) => HttpAnswer;
}

export interface ScriptedGateway {
  readonly url: string;
  readonly frames: ClientBody[];
  readonly requests: HeardRequest[];
  readonly sockets: Set<WebSocket>;
  /** What it does from now on. */
  script: Script;
  stop(): Promise<void>;
}

export const problemAnswer = (kind: ErrorKind): HttpAnswer => ({
  status: ERROR_KINDS[kind].httpStatus,
  json: {
    code: kind,
    title: ERROR_KINDS[kind].en,
    titleZh: ERROR_KINDS[kind].zh,
    detail: kind,
    retryable: ERROR_KINDS[kind].retryable,
  },
});

/** A gateway on loopback that speaks the real protocols and says what the test wants it to say. */
export async function startScriptedGateway(script: Script = {}): Promise<ScriptedGateway> {
  const frames: ClientBody[] = [];
  const requests: HeardRequest[] = [];
  const sockets = new Set<WebSocket>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const heard = {
      method: request.method!,
      path: request.url!,
      headers: request.headers,
      body: text === '' ? undefined : (JSON.parse(text) as unknown),
    };
    requests.push(heard);
    const answer = gateway.script.http?.(heard) ?? problemAnswer('not-found');
    if (answer === 'silence') return;
    if (answer === 'cut') return void request.socket.destroy();
    response.writeHead(answer.status).end('json' in answer ? JSON.stringify(answer.json) : answer.text);
  });
  const webSockets = new WebSocketServer({ server, handleProtocols: () => 'hongbao.v1' });
  webSockets.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('message', (data) => {
      const frame = fromBinary(ClientFrameSchema, data as Buffer);
      const body = frame.body as ClientBody;
      frames.push(body);
      const said = gateway.script.frame?.(body, socket) ?? (body.case === 'hello' ? welcome() : undefined);
      if (!said) return;
      const { requestId } = frame;
      socket.send(toBinary(ServerFrameSchema, create(ServerFrameSchema, { requestId, body: said })));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const gateway: ScriptedGateway = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    frames,
    requests,
    sockets,
    script,
    async stop() {
      for (const socket of sockets) socket.terminate();
      webSockets.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return gateway;
}
