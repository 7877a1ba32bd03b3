import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { SignJWT } from 'jose';
import { Type } from 'typebox';
import { problemResponses, sendProblemOf, TimeMsShape } from '../protocol/http.ts';
import type { AppId } from '../vocabulary/ids.ts';
import type { Clock } from '../vocabulary/instant.ts';
import { isUserName, type SessionKey } from './sessions.ts';

const LIFETIME_S = 12 * 3_600;
const AUDIENCE = 'hongbao';
const LOOPBACK_HOST = /^(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?$/;
const LOOPBACK_ADDRESS = /^(::ffff:)?127\.|^::1$/;

/** A demo app's session key: made with the data folder, good for this engine only. */
export const demoSessionKey = (app: { id: AppId; name: string }, secret: Buffer): SessionKey => ({
  appId: app.id,
  name: app.name,
  alg: 'HS256',
  key: { kty: 'oct', k: secret.toString('base64url') },
  audience: AUDIENCE,
});

/**
 * Hands sessions to anyone on this machine: only in dev mode, only over loopback, and only to pages of our own (a
 * foreign site's script, or a name that was rebound to 127.0.0.1, is refused).
 */
export const demoRoutes: FastifyPluginAsyncTypebox<{
  /** One for each app that sessions are given for; the first when none is named. */
  keys: readonly [SessionKey, ...SessionKey[]];
  secret: Buffer;
  clock: Clock;
}> = async (app, deps) => {
  app.post(
    '/demo/v1/sessions',
    {
      schema: {
        summary: 'A demo session for any name (dev mode, this machine only)',
        body: Type.Object(
          {
            user: Type.String({ minLength: 1, maxLength: 64 }),
            app: Type.Optional(
              Type.String({ maxLength: 64, description: 'An app of the campaign; the first by default' }),
            ),
            phone: Type.Optional(Type.String({ maxLength: 64, description: 'Taken for verified: E.164' })),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({ session: Type.String(), user: Type.String(), expiresAtMs: TimeMsShape }),
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const { host = '', origin } = request.headers;
      const isLocal = LOOPBACK_ADDRESS.test(request.socket.remoteAddress ?? '') && LOOPBACK_HOST.test(host);
      if (!isLocal || (origin !== undefined && origin !== `http://${host}`)) {
        return sendProblemOf(
          reply,
          'forbidden',
          'demo sessions are for this machine only: open http://localhost',
        );
      }
      const { user, app: appName, phone } = request.body;
      if (!isUserName(user)) return sendProblemOf(reply, 'malformed', 'user is 1 to 64 visible characters');
      const key = appName === undefined ? deps.keys[0] : deps.keys.find(({ name }) => name === appName);
      if (!key) return sendProblemOf(reply, 'malformed', 'app is one of the campaign’s');
      const nowS = Math.floor(deps.clock.now() / 1_000);
      const session = await new SignJWT(
        phone === undefined ? {} : { phone_number: phone, phone_number_verified: true },
      )
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(user)
        .setIssuer(key.name)
        .setAudience(key.audience)
        .setIssuedAt(nowS)
        .setExpirationTime(nowS + LIFETIME_S)
        .sign(deps.secret);
      return { session, user, expiresAtMs: (nowS + LIFETIME_S) * 1_000 };
    },
  );
};
