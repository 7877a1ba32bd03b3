import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { bearerOf } from '../guard/secrets.ts';
import { sendProblemOf } from '../protocol/http.ts';
import type { Announcer } from './announcer.ts';

/** GET /internal/v1/announcement: the newest envelope for the other processes; its ETag is its sequence. */
export const announcementRoute: FastifyPluginAsyncTypebox<{
  announcer: Announcer;
  mayRead: (bearer: string | undefined) => boolean;
}> = async (app, { announcer, mayRead }) => {
  app.get('/internal/v1/announcement', { schema: { hide: true } }, async (request, reply) => {
    if (!mayRead(bearerOf(request.headers.authorization)))
      return sendProblemOf(reply, 'credential-invalid', 'this is for the engine’s own processes');
    const envelope = announcer.envelope();
    if (!envelope) return sendProblemOf(reply, 'not-found', 'nothing was announced yet');
    const etag = `"${announcer.current().sequence}"`;
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    return reply.header('etag', etag).type('application/octet-stream').send(Buffer.from(envelope));
  });
};
