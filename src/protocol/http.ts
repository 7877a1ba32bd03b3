import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type { ErrorKind } from './error-kinds.ts';
import { PROBLEM_CONTENT_TYPE, problem, problemOf } from './problem.ts';

/** Shapes that several stations' routes share. */
export const BilingualShape = Type.Object({ zh: Type.String(), en: Type.String() });
export const FenShape = Type.Integer({ description: 'In fen, 1/100 yuan' });
export const TimeMsShape = Type.Integer({ description: 'Milliseconds since 1970 UTC' });
export const CampaignParams = Type.Object({
  campaignId: Type.String({ maxLength: 64, description: 'The parent campaign' }),
});

export const ProblemShape = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'Stable, for programs: see src/protocol/error-kinds.ts' }),
    titleZh: Type.String(),
    retryable: Type.Boolean(),
    traceId: Type.String(),
    throttle: Type.Optional(Type.Unsafe<unknown>({})),
  },
  { description: 'RFC 9457 problem details', additionalProperties: true },
);

/** Every answer that is no success has this shape. */
export const problemResponses = { '4xx': ProblemShape, '5xx': ProblemShape } as const;

export function sendProblem(reply: FastifyReply, failure: unknown): FastifyReply {
  const body = problemOf(failure);
  if (body.status === 429 || body.status === 503) reply.header('retry-after', '1');
  return reply.code(body.status).type(PROBLEM_CONTENT_TYPE).send(body);
}

export const sendProblemOf = (reply: FastifyReply, code: ErrorKind, detail: string): FastifyReply => {
  const body = problem(code, detail);
  return reply.code(body.status).type(PROBLEM_CONTENT_TYPE).send(body);
};
