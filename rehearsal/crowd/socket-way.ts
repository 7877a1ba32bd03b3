import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { WebSocket } from 'ws';
import {
  type ClientFrame,
  ClientFrameSchema,
  type ServerFrame,
  ServerFrameSchema,
} from '../../src/protocol/gen/hongbao/v1/play_pb.ts';
import type { Heard, ToldOfOpen, ToldOfShake, Way } from './ways.ts';

type ClientBody = Exclude<ClientFrame['body'], { case: undefined }>;
type ServerBody = ServerFrame['body'];

const DEADLINE_MS = 4_000;

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, 'base64url'));
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

/** A connection that has been welcomed. */
interface Line {
  readonly socket: WebSocket;
  ask(body: ClientBody): Promise<ServerBody | undefined>;
}

/** A person behind a WebSocket; dials again whenever the line is gone. `url` is the gateway's, http or ws. */
export function socketWay(url: string, campaignId: string, session: string): Way {
  let line: Promise<Line | undefined> | undefined;

  async function asked(body: ClientBody): Promise<ServerBody | undefined> {
    line ??= dial(url, campaignId, session);
    const open = await line;
    const answer = await open?.ask(body);
    if (answer === undefined) {
      open?.socket.terminate();
      line = undefined;
    }
    return answer;
  }

  return {
    async shake(claimRecord) {
      const answer = await asked({
        case: 'shake',
        value: { $typeName: 'hongbao.v1.Shake', claimRecord: bytesOf(claimRecord), shakes: 1 },
      });
      return heardOf<ToldOfShake>(answer, (body) =>
        body.case === 'shakeResult'
          ? {
              ticket: body.value.prize.case === 'ticket' ? textOf(body.value.prize.value.ticket) : undefined,
              claimRecord: body.value.claimRecord.length > 0 ? textOf(body.value.claimRecord) : undefined,
            }
          : undefined,
      );
    },
    async open(ticket) {
      const answer = await asked({
        case: 'open',
        value: { $typeName: 'hongbao.v1.Open', ticket: bytesOf(ticket) },
      });
      return heardOf<ToldOfOpen>(answer, (body) =>
        body.case === 'openResult'
          ? {
              orderNumber: body.value.orderNumber,
              amountFen: Number(body.value.amountFen),
              token: textOf(body.value.token),
            }
          : undefined,
      );
    },
    async sendRubbish(random) {
      line ??= dial(url, campaignId, session);
      const open = await line;
      if (!open) line = undefined;
      else if (random() < 0.5) open.socket.send('shake shake shake');
      else open.socket.send(Buffer.from(Array.from({ length: 24 }, () => Math.floor(random() * 256))));
    },
    close() {
      void line?.then((open) => open?.socket.terminate());
    },
  };
}

function heardOf<Told>(
  answer: ServerBody | undefined,
  told: (body: ServerBody) => Told | undefined,
): Heard<Told> {
  if (answer === undefined) return undefined;
  if (answer.case === 'problem')
    return { refused: String(answer.value.code), isFinal: !answer.value.retryable };
  const content = told(answer);
  return content === undefined ? undefined : { told: content };
}

/** Connects and says hello; undefined when there is nobody, or no welcome. */
async function dial(url: string, campaignId: string, session: string): Promise<Line | undefined> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/play`, ['hongbao.v1'], {
    handshakeTimeout: DEADLINE_MS,
  });
  const waiting = new Map<number, (body: ServerBody | undefined) => void>();
  let nextId = 1;
  const opened = new Promise<boolean>((resolve) => {
    socket.on('open', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('close', () => {
      resolve(false);
      for (const answer of waiting.values()) answer(undefined);
    });
  });
  socket.on('message', (data) => {
    const { requestId, body } = fromBinary(ServerFrameSchema, data as Buffer);
    waiting.get(requestId)?.(body);
  });
  const ask = (body: ClientBody): Promise<ServerBody | undefined> =>
    new Promise((resolve) => {
      const requestId = nextId++;
      const settle = (answer: ServerBody | undefined) => {
        clearTimeout(deadline);
        waiting.delete(requestId);
        resolve(answer);
      };
      const deadline = setTimeout(settle, DEADLINE_MS, undefined);
      waiting.set(requestId, settle);
      if (socket.readyState !== WebSocket.OPEN) settle(undefined);
      else socket.send(toBinary(ClientFrameSchema, create(ClientFrameSchema, { requestId, body })));
    });
  if (!(await opened)) return undefined;
  const welcome = await ask({ case: 'hello', value: { $typeName: 'hongbao.v1.Hello', session, campaignId } });
  if (welcome?.case === 'welcome') return { socket, ask };
  socket.terminate();
  return undefined;
}
