import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { CampaignProblem } from '../../campaign/problems.ts';
import { bearerOf } from '../../guard/secrets.ts';
import { type Cue, SWITCHES, type Switch } from '../../protocol/announcement.ts';
import { isRefusal, type Refusal } from '../../protocol/failures.ts';
import { problemResponses, sendProblem, sendProblemOf } from '../../protocol/http.ts';
import { PROBLEM_CONTENT_TYPE, problem } from '../../protocol/problem.ts';
import type { DeadLetters } from '../dead-letters.ts';
import { awardRoutes } from './awards.ts';

export interface ProcessDeps {
  readonly metricsText: () => Promise<string>;
  readonly ready: () => { readonly ready: boolean; readonly reason?: string };
}

/** What operations may do. Each act is the engine's own; the routes only check who asks. */
export interface OpsDeps extends ProcessDeps {
  readonly isOperator: (secret: string | undefined) => Promise<boolean>;
  /** The new operator's key; undefined when the setup token is wrong or was used. */
  readonly setUp: (setupToken: string, name: string) => Promise<string | undefined>;
  readonly creditRate: () => number | undefined;
  readonly setCreditRate: (creditsPerSecond: number | undefined) => Promise<void>;
  readonly rotateKeys: () => Promise<{ readonly keyId: number }>;
  /** Moves a round of the night, everywhere. */
  readonly cue: (cue: Cue) => Promise<Refusal | { readonly sequence: number }>;
  /** Parts that are switched off. */
  readonly switches: () => readonly Switch[];
  readonly setSwitch: (part: Switch, on: boolean) => Promise<void>;
  readonly applyCampaign: (
    source: string,
  ) => Promise<
    | { readonly id: string; readonly version: number }
    | { readonly problems: readonly CampaignProblem[] }
    | Refusal
  >;
  /** The upstream's secret, shown this once. */
  readonly addUpstream: (ask: {
    name: string;
    campaignId: string;
    scenes: string[];
  }) => Promise<string | Refusal>;
  readonly deadLetters: DeadLetters;
  readonly status: () => Promise<object>;
}

const SETUP_TRIES_MAX = 20;
const Rate = Type.Object(
  { creditsPerSecond: Type.Union([Type.Integer({ minimum: 0, maximum: 10_000_000 }), Type.Null()]) },
  { additionalProperties: false },
);

const CueBody = Type.Object(
  {
    campaignId: Type.String({ maxLength: 64 }),
    phaseId: Type.String({ maxLength: 64 }),
    rainId: Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }),
    startsAtMs: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  },
  { additionalProperties: false },
);

/** What every process tells of itself: for probes and scrapes. */
export const processRoutes: FastifyPluginAsyncTypebox<ProcessDeps> = async (app, deps) => {
  const alive = { schema: { response: { 200: Type.Object({ alive: Type.Boolean() }) } } };
  for (const path of ['/healthz', '/livez', '/startupz']) app.get(path, alive, async () => ({ alive: true }));
  app.get('/readyz', async (_, reply) => {
    const state = deps.ready();
    return reply.code(state.ready ? 200 : 503).send(state);
  });
  app.get('/metrics', async (_, reply) =>
    reply.type('text/plain; version=0.0.4').send(await deps.metricsText()),
  );
};

/** Operations, on a port of their own, which listens on loopback unless HONGBAO_OPS_HOST says otherwise. */
export const opsRoutes: FastifyPluginAsyncTypebox<OpsDeps> = async (app, deps) => {
  let setupTries = 0;
  await app.register(processRoutes, deps);

  app.post(
    '/ops/v1/setup',
    {
      schema: {
        summary: 'Become an operator, once, with the setup token that the engine printed',
        body: Type.Object(
          {
            setupToken: Type.String({ maxLength: 200 }),
            name: Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' }),
          },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ operatorKey: Type.String() }), ...problemResponses },
      },
    },
    async (request, reply) => {
      setupTries += 1;
      if (setupTries > SETUP_TRIES_MAX)
        return sendProblemOf(
          reply,
          'throttled',
          'too many wrong setup tokens; restart the engine to try again',
        );
      const operatorKey = await deps.setUp(request.body.setupToken, request.body.name);
      return operatorKey === undefined
        ? sendProblemOf(reply, 'credential-invalid', 'the setup token is wrong or was used')
        : { operatorKey };
    },
  );

  await app.register(async (guarded) => {
    guarded.addHook('onRequest', async (request, reply) => {
      if (!(await deps.isOperator(bearerOf(request.headers.authorization)))) {
        return sendProblemOf(reply, 'credential-invalid', 'send Authorization: Bearer <operator key>');
      }
      return undefined;
    });
    guarded.addContentTypeParser(
      ['application/yaml', 'text/yaml', 'text/plain'],
      { parseAs: 'string', bodyLimit: 2 << 20 },
      (_, body, done) => done(null, body),
    );

    await guarded.register(awardRoutes, deps.deadLetters);
    guarded.get('/ops/v1/status', async () => deps.status());
    guarded.get('/ops/v1/credit-rate', async () => ({ creditsPerSecond: deps.creditRate() ?? null }));
    guarded.put<{ Body: { creditsPerSecond: number | null } }>(
      '/ops/v1/credit-rate',
      { schema: { summary: 'Credits a second; null lifts the limit', body: Rate } },
      async (request) => {
        await deps.setCreditRate(request.body.creditsPerSecond ?? undefined);
        return { creditsPerSecond: deps.creditRate() ?? null };
      },
    );
    guarded.get('/ops/v1/switches', async () => ({ off: deps.switches() }));
    guarded.put<{ Params: { part: Switch }; Body: { on: boolean } }>(
      '/ops/v1/switches/:part',
      {
        schema: {
          summary: 'Switches a part off, as if it were down, or on again',
          params: Type.Object({ part: Type.Enum([...SWITCHES]) }),
          body: Type.Object({ on: Type.Boolean() }, { additionalProperties: false }),
        },
      },
      async (request) => {
        await deps.setSwitch(request.params.part, request.body.on);
        return { off: deps.switches() };
      },
    );
    guarded.post<{ Body: Cue }>(
      '/ops/v1/cues',
      { schema: { summary: 'Moves a round: it begins at another time, everywhere', body: CueBody } },
      async (request, reply) => {
        const cued = await deps.cue(request.body);
        return isRefusal(cued) ? sendProblem(reply, cued) : cued;
      },
    );
    guarded.post('/ops/v1/keys/rotate', async () => deps.rotateKeys());
    guarded.post('/ops/v1/campaigns', async (request, reply) => {
      if (typeof request.body !== 'string')
        return sendProblemOf(reply, 'unsupported-media-type', 'send the file as application/yaml');
      const applied = await deps.applyCampaign(request.body);
      if (isRefusal(applied)) return sendProblem(reply, applied);
      if (!('problems' in applied)) return applied;
      const body = problem(
        'malformed',
        `the campaign has ${applied.problems.length} mistakes, so nothing was changed`,
      );
      return reply
        .code(422)
        .type(PROBLEM_CONTENT_TYPE)
        .send({ ...body, status: 422, problems: applied.problems });
    });
    guarded.post<{ Body: { name: string; campaignId: string; scenes: string[] } }>(
      '/ops/v1/upstreams',
      {
        schema: {
          summary:
            'A credential for a service upstream, limited to its scenes; the secret is shown this once',
          body: Type.Object(
            {
              name: Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' }),
              campaignId: Type.String({ maxLength: 64 }),
              scenes: Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, maxItems: 500 }),
            },
            { additionalProperties: false },
          ),
        },
      },
      async (request, reply) => {
        const secret = await deps.addUpstream(request.body);
        return isRefusal(secret) ? sendProblem(reply, secret) : { secret };
      },
    );
  });
};
