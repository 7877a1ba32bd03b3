import swagger from '@fastify/swagger';
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { ErrorKind } from '../../protocol/error-kinds.ts';
import { isRefusal, type Refusal, RetryableFault, refuse } from '../../protocol/failures.ts';
import { PROBLEM_CONTENT_TYPE, type Problem, problemOf } from '../../protocol/problem.ts';

const BODY_BYTES_MAX = 64 << 10;

/** An HTTP application with our manners: typed routes, problem+json for every failure, time-outs, no surprises. */
export function createApp(options: {
  logger: Logger;
  onProblem: (kind: ErrorKind) => void;
}): FastifyInstance {
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: 15_000,
    connectionTimeout: 20_000,
    keepAliveTimeout: 65_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 200 },
    logger: false,
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(TypeBoxValidatorCompiler as never);

  app.setErrorHandler((error: FastifyError, request, reply) => {
    const body = problemOf(failureOf(error));
    if (body.code === 'internal')
      options.logger.error(
        { err: error, traceId: body.traceId, route: request.routeOptions.url },
        'a request could not be answered',
      );
    if (body.status === 503 || body.status === 429) reply.header('retry-after', '1');
    return reply.code(body.status).type(PROBLEM_CONTENT_TYPE).send(body);
  });
  app.setNotFoundHandler((request, reply) => {
    const body = problemOf(
      refuse('not-found', `${request.method} ${request.url.slice(0, 100)} is not offered here`),
    );
    return reply.code(404).type(PROBLEM_CONTENT_TYPE).send(body);
  });
  // Whoever answers with it: a route, or one of the two above.
  app.addHook('preSerialization', (_, reply, payload, done) => {
    if (`${reply.getHeader('content-type')}`.startsWith(PROBLEM_CONTENT_TYPE))
      options.onProblem((payload as Problem).code);
    done(null, payload);
  });
  app.addHook('onSend', async (_, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer');
  });
  return app as unknown as FastifyInstance;
}

/** Before any route, so that it sees them all. */
export async function describeApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Hongbao',
        version: '1',
        description:
          'Players and services upstream. Amounts are in fen; errors are RFC 9457 problem details.',
      },
      components: { securitySchemes: { session: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
  });
}

function failureOf(error: FastifyError): Refusal | RetryableFault | unknown {
  if (error instanceof RetryableFault || isRefusal(error)) return error;
  if (error.validation) return refuse('malformed', error.message);
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return refuse('too-large', 'the body is larger than this route takes');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return refuse('unsupported-media-type', 'this route does not take that content type');
    default:
      return error.statusCode !== undefined && error.statusCode < 500
        ? refuse('malformed', error.message)
        : error;
  }
}
