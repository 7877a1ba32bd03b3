import { afterEach, beforeEach } from 'vitest';
import { WebSocket } from 'ws';
import {
  type ClientOptions,
  createHongbaoClient,
  type HongbaoClient,
  HongbaoProblem,
  memoryStore,
} from '../index.ts';
import type { ClientBody, ServerBody } from '../link.ts';
import { unsignedJwt } from './jwt.ts';
import { createManualTime, type ManualTime } from './manual-time.ts';
import { type HttpAnswer, type ScriptedGateway, startScriptedGateway } from './scripted-gateway.ts';

export const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text).slice();
export const base64Url = (text: string): string => Buffer.from(text).toString('base64url');
export const packetFrame: ServerBody = {
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
export const walletAnswer = (more: object = {}): HttpAnswer => ({
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

/** The code of the problem that a promise ends in. */
export const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error instanceof HongbaoProblem ? error.code : `not a HongbaoProblem: ${error}`),
  );

export interface ClientStage {
  /** Of this test. */
  gateway: ScriptedGateway;
  time: ManualTime;
  /** Of the same phone as the other ones of the test. */
  newClient(options?: Partial<ClientOptions>): HongbaoClient;
  /** What the gateway says over the WebSocket to each kind of question. */
  byCase(answers: Partial<Record<NonNullable<ClientBody['case']>, ServerBody>>): void;
  /** Answers HTTP once with each, and then for ever with the last. */
  http(...answers: HttpAnswer[]): void;
  /** What the gateway was sent last. */
  lastBody(): unknown;
}

/** For each test a gateway on loopback that says what the test wants, a time that it moves, and clients of one phone. */
export function clientStage(): ClientStage {
  const clients: HongbaoClient[] = [];
  let storage: ReturnType<typeof memoryStore>;
  let keys = 0;
  const stage = {
    newClient(options = {}) {
      const client = createHongbaoClient({
        baseUrl: stage.gateway.url,
        campaignId: 'gala',
        session: async () => unsignedJwt({ iss: 'app', sub: 'alice', exp: 9e9 }),
        storage,
        webSocket: WebSocket,
        nowMs: stage.time.nowMs,
        timers: stage.time.timers,
        random: () => 0.5,
        newKey: () => `key-${++keys}`,
        ...options,
      });
      clients.push(client);
      return client;
    },
    byCase(answers) {
      stage.gateway.script.frame = (body) => answers[body.case];
    },
    http(...answers) {
      let next = 0;
      stage.gateway.script.http = () => answers[Math.min(next++, answers.length - 1)]!;
    },
    lastBody: () => stage.gateway.requests.at(-1)!.body,
  } as ClientStage;
  beforeEach(async () => {
    stage.gateway = await startScriptedGateway();
    stage.time = createManualTime();
    storage = memoryStore();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await stage.gateway.stop();
  });
  return stage;
}
