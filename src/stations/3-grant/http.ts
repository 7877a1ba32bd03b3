import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { UpstreamCredential } from '../../engines/ports.ts';
import { bearerOf } from '../../guard/secrets.ts';
import { createSlots } from '../../guard/slots.ts';
import { ERROR_KINDS } from '../../protocol/error-kinds.ts';
import { BrokenInvariant, isRefusal, RetryableFault, refuse } from '../../protocol/failures.ts';
import { ProblemShape, problemResponses, sendProblem, TimeMsShape } from '../../protocol/http.ts';
import type { AppId, PhaseKey, SceneId } from '../../vocabulary/ids.ts';
import type { Person } from '../../vocabulary/person.ts';
import { AskShape, readAsk } from './ask.ts';
import { type GrantOutcome, outcomeOf, unknownOf } from './outcome.ts';
import type { UpstreamGranter } from './upstream.ts';
import {
  batchBytes,
  outcomeBytes,
  outcomeJson,
  PROTOBUF_TYPES,
  readAskBytes,
  readBatchBytes,
} from './wire.ts';

export interface GrantRouteDeps {
  readonly upstream: UpstreamGranter;
  readonly credentialOf: (secret: string | undefined) => Promise<UpstreamCredential | undefined>;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly personOf: (appId: AppId, user: string) => Promise<Person>;
  /** Whether little is left of a scene; from memory, at once. */
  readonly isLow: (phaseKey: PhaseKey, sceneId: SceneId) => boolean;
  /** Told of what was thrown and answered as `unknown` beside others. */
  readonly onUnknown: (error: unknown) => void;
}

export const BATCH_ASKS_MAX = 500;
const BATCH_BODY_BYTES_MAX = 512 << 10;
/** Two full micro-batches (4-seal): enough to share signatures and fsyncs, not enough to starve everybody else. */
const AT_ONCE_MAX = 128;

const GrantedFields = {
  orderNumber: Type.String(),
  sceneId: Type.String({
    description: 'The scene that gave it: the consolation’s when that was given instead',
  }),
  awardType: Type.String({ description: 'cash, or a kind of piece' }),
  amountFen: Type.Integer({ description: 'Money in the wallet, in fen; 0 for a piece' }),
  worthFen: Type.Integer({ description: 'In fen: the amount, or what the piece is worth' }),
  drawnAtMs: TimeMsShape,
  replayed: Type.Boolean({ description: 'It was granted before: this is the first answer again' }),
  consolation: Type.Boolean({ description: 'Nothing was left of what was asked for' }),
  low: Type.Boolean({ description: 'Under 10 % are left of what was asked for' }),
};
const GrantedShape = Type.Object({ outcome: Type.Enum(['granted', 'replayed']), ...GrantedFields });
const RefusedShape = Type.Object(
  {
    outcome: Type.Enum(['refused']),
    code: Type.String(),
    detail: Type.String(),
    retryable: Type.Boolean(),
  },
  { description: 'A "no" that moved nothing' },
);
const UnknownShape = Type.Object(
  {
    outcome: Type.Enum(['unknown']),
    code: Type.String(),
    detail: Type.String(),
    retryAfterMs: Type.Integer(),
  },
  { description: 'It may or may not have been granted: ask again with the same identity' },
);
const BatchShape = Type.Object(
  { grants: Type.Array(AskShape, { minItems: 1, maxItems: BATCH_ASKS_MAX }) },
  { additionalProperties: false },
);
const BatchOutcomeShape = Type.Object({
  outcomes: Type.Array(Type.Union([GrantedShape, RefusedShape, UnknownShape]), {
    description: 'In the order of the asks',
  }),
});
const bytesShape = (message: string) =>
  Type.Unsafe<unknown>({
    type: 'string',
    format: 'binary',
    description: `proto/hongbao/v1/grant.proto: ${message}`,
  });
const inBoth = (json: object, message: string) => ({
  content: Object.fromEntries(
    ['application/json', ...PROTOBUF_TYPES].map((type) => [
      type,
      { schema: type === 'application/json' ? json : bytesShape(message) },
    ]),
  ),
});

/** POST /v1/grants and /v1/grants/batch: services upstream give awards to people, in JSON or protobuf. */
export const grantRoutes: FastifyPluginAsync<GrantRouteDeps> = async (app, deps) => {
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser([...PROTOBUF_TYPES], { parseAs: 'buffer' }, (_, body, done) => done(null, body));
  // Each ask is checked by itself (ask.ts); the schemas only describe.
  app.setValidatorCompiler(() => () => true);

  /** Never rejects, but for what the process must not survive. */
  async function answer(credential: UpstreamCredential, raw: unknown): Promise<GrantOutcome> {
    const ask = readAsk(raw, deps.campaign);
    if (isRefusal(ask)) return outcomeOf(ask, undefined, false);
    try {
      const person = await deps.personOf(ask.appId, ask.user);
      const granted = await deps.upstream.grant(credential, { ...ask, person });
      const low = !isRefusal(granted) && deps.isLow(granted.order.phaseKey, ask.scene.id);
      return outcomeOf(granted, ask.scene.id, low);
    } catch (error) {
      if (error instanceof BrokenInvariant) throw error;
      if (!(error instanceof RetryableFault)) deps.onUnknown(error);
      return unknownOf(error);
    }
  }

  const credentialOf = (request: FastifyRequest) =>
    deps.credentialOf(bearerOf(request.headers.authorization));

  app.post(
    '/v1/grants',
    {
      schema: {
        summary:
          'Grant an award (services upstream). The same person, scene, round and phase again gives the first answer',
        body: inBoth(AskShape, 'GrantAsk'),
        response: { 200: inBoth(GrantedShape, 'GrantOutcome'), ...problemResponses },
      },
    },
    async (request, reply) => {
      const credential = await credentialOf(request);
      if (!credential) return sendProblem(reply, NO_CREDENTIAL);
      const bytes = protobufOf(request);
      const outcome = await answer(credential, bytes ? readAskBytes(bytes) : request.body);
      if (bytes) return reply.code(statusOf(outcome)).type(typeOf(request)).send(outcomeBytes(outcome));
      if (outcome.outcome === 'unknown')
        throw new RetryableFault(outcome.code, outcome.detail, outcome.retryAfterMs);
      if (outcome.outcome === 'refused') return sendProblem(reply, refuse(outcome.code, outcome.detail));
      return reply.type('application/json').send(outcomeJson(outcome));
    },
  );

  app.post(
    '/v1/grants/batch',
    {
      bodyLimit: BATCH_BODY_BYTES_MAX,
      schema: {
        summary: `Grant up to ${BATCH_ASKS_MAX} awards; each ask has an outcome of its own, in their order`,
        body: inBoth(BatchShape, 'GrantBatch'),
        response: {
          200: inBoth(BatchOutcomeShape, 'GrantBatchOutcome'),
          '4xx': ProblemShape,
          '5xx': ProblemShape,
        },
      },
    },
    async (request, reply) => {
      const credential = await credentialOf(request);
      if (!credential) return sendProblem(reply, NO_CREDENTIAL);
      const bytes = protobufOf(request);
      const asks = bytes ? readBatchBytes(bytes) : asksOf(request.body);
      if (!asks || asks.length === 0) return sendProblem(reply, NO_BATCH);
      if (asks.length > BATCH_ASKS_MAX) return sendProblem(reply, TOO_MANY);
      const slots = createSlots(AT_ONCE_MAX);
      const outcomes = await Promise.all(asks.map((ask) => slots.run(() => answer(credential, ask))));
      if (bytes) return reply.type(typeOf(request)).send(batchBytes(outcomes));
      return reply.type('application/json').send({ outcomes: outcomes.map(outcomeJson) });
    },
  );
};

const NO_CREDENTIAL = refuse('credential-invalid', 'send Authorization: Bearer <upstream secret>');
const NO_BATCH = refuse('malformed', 'a batch is { "grants": [ask, …] } with at least one ask');
const TOO_MANY = refuse('too-large', `at most ${BATCH_ASKS_MAX} asks at once`);

const protobufOf = ({ body }: FastifyRequest): Buffer | undefined =>
  Buffer.isBuffer(body) ? body : undefined;

/** The one of our two names for protobuf that the caller uses. */
const typeOf = ({ headers }: FastifyRequest): string =>
  PROTOBUF_TYPES.find((type) => headers['content-type']?.toLowerCase().startsWith(type)) ?? PROTOBUF_TYPES[0];

function asksOf(body: unknown): readonly unknown[] | undefined {
  const grants = (body as { readonly grants?: unknown } | null | undefined)?.grants;
  return Array.isArray(grants) ? grants : undefined;
}

const statusOf = (outcome: GrantOutcome): number =>
  'code' in outcome ? (outcome.outcome === 'unknown' ? 503 : ERROR_KINDS[outcome.code].httpStatus) : 200;
