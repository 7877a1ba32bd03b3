import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { REISSUE_ACTS, REISSUE_OUTCOMES, type ReissueAct, type ReissueOutcome } from '../../engines/ports.ts';
import { bearerOf } from '../../guard/secrets.ts';
import { isRefusal } from '../../protocol/failures.ts';
import { sendProblem, sendProblemOf } from '../../protocol/http.ts';
import type { ReissueDesk, ReissueView } from './desk.ts';

export interface ReissueRouteDeps {
  readonly desk: ReissueDesk;
  /** The name of whoever a key is of. */
  readonly operatorOf: (secret: string | undefined) => Promise<string | undefined>;
}

const JobParams = Type.Object({ job: Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }) });
export const PER_SECOND_MAX = 10_000;

/** /ops/v1/reissues and /ops/v1/operators: lists that are given after the fact, and the people who approve them. */
export const reissueRoutes: FastifyPluginAsyncTypebox<ReissueRouteDeps> = async (
  app,
  { desk, operatorOf },
) => {
  const names = new WeakMap<FastifyRequest, string>();
  const by = (request: FastifyRequest): string => names.get(request)!;
  app.addHook('onRequest', async (request, reply) => {
    const name = await operatorOf(bearerOf(request.headers.authorization));
    if (name === undefined)
      return sendProblemOf(reply, 'credential-invalid', 'send Authorization: Bearer <operator key>');
    names.set(request, name);
    return undefined;
  });
  // As a stream: a list may be larger than what a body may hold, and is read as it comes.
  app.addContentTypeParser('text/csv', (_, payload, done) => done(null, payload));

  app.get('/ops/v1/reissues', async () => ({ jobs: await desk.jobs() }));
  app.post(
    '/ops/v1/reissues',
    { schema: { summary: 'Brings a list, as text/csv. Nothing is given; its totals are in the job' } },
    async (request, reply) => {
      if (!(request.body instanceof Readable))
        return sendProblemOf(reply, 'unsupported-media-type', 'send the list as text/csv');
      // What is refused early is read to its end all the same, so that the answer is heard.
      const brought = await desk.bring(request.body.iterator({ destroyOnReturn: false }), by(request));
      if (isRefusal(brought)) {
        request.body.resume();
        return sendProblem(reply, brought);
      }
      return reply.code(brought.isNew ? 201 : 200).send(toJson(brought.view));
    },
  );
  app.get('/ops/v1/reissues/:job', { schema: { params: JobParams } }, async (request, reply) =>
    answer(reply, await desk.view(request.params.job)),
  );
  app.post(
    '/ops/v1/reissues/:job/:act',
    {
      schema: {
        summary:
          'approve (by another operator than who made it, with the contentHash that was looked at), start, pause, cancel',
        params: Type.Object({ ...JobParams.properties, act: Type.Enum([...REISSUE_ACTS]) }),
        body: Type.Optional(
          Type.Union([
            Type.Null(),
            Type.Object(
              { contentHash: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })) },
              { additionalProperties: false },
            ),
          ]),
        ),
      },
    },
    async (request, reply) => {
      const { job, act } = request.params as { job: number; act: ReissueAct };
      return answer(reply, await desk.act(job, act, by(request), request.body?.contentHash));
    },
  );
  app.put(
    '/ops/v1/reissues/:job/rate',
    {
      schema: {
        summary: 'Lines a second; also while it runs',
        params: JobParams,
        body: Type.Object(
          { perSecond: Type.Integer({ minimum: 1, maximum: PER_SECOND_MAX }) },
          { additionalProperties: false },
        ),
      },
    },
    async (request, reply) =>
      answer(reply, await desk.setRate(request.params.job, request.body.perSecond, by(request))),
  );
  app.get(
    '/ops/v1/reissues/:job/result',
    {
      schema: {
        summary: 'What became of each line, as text/csv; only=wrong,refused for some of them',
        params: JobParams,
        querystring: Type.Object({ only: Type.Optional(Type.String({ maxLength: 100 })) }),
      },
    },
    async (request, reply) => {
      const only = request.query.only?.split(',') as ReissueOutcome[] | undefined;
      if (only?.some((one) => !REISSUE_OUTCOMES.includes(one)))
        return sendProblemOf(reply, 'malformed', `only is some of ${REISSUE_OUTCOMES.join(', ')}`);
      const result = await desk.result(request.params.job, only);
      if (isRefusal(result)) return sendProblem(reply, result);
      return reply.type('text/csv; charset=utf-8').send(Readable.from(result));
    },
  );

  app.get('/ops/v1/operators', async () => ({ operators: await desk.operators() }));
  app.post(
    '/ops/v1/operators',
    {
      schema: {
        summary: 'Another operator; the key is shown this once',
        body: Type.Object(
          { name: Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' }) },
          { additionalProperties: false },
        ),
      },
    },
    async (request, reply) => {
      const operatorKey = await desk.addOperator(request.body.name, by(request));
      return isRefusal(operatorKey) ? sendProblem(reply, operatorKey) : { operatorKey };
    },
  );
};

const answer = (reply: FastifyReply, view: ReissueView | Parameters<typeof sendProblem>[1]) =>
  isRefusal(view) ? sendProblem(reply, view) : reply.send(toJson(view as ReissueView));

/** Amounts as JSON numbers of fen. */
const toJson = (view: ReissueView): object => ({
  ...view,
  needs: view.needs.map((need) => ({
    campaign: need.campaignId,
    scene: need.sceneId,
    phaseKey: need.phaseKey,
    lines: need.lines,
    // A scene that cuts its own amounts: only the number of packets is known before.
    fen: need.fen === undefined ? null : Number(need.fen),
    remaining: need.remaining
      ? { fen: Number(need.remaining.fen), packets: need.remaining.packets }
      : { fen: 0, packets: 0 },
    suffices: need.suffices,
  })),
});
