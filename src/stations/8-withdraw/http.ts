import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { Withdrawal } from '../../engines/ports.ts';
import { admit, type PlayerRouteDeps } from '../../guard/http.ts';
import { isRefusal } from '../../protocol/failures.ts';
import {
  CampaignParams,
  FenShape,
  problemResponses,
  sendProblem,
  sendProblemOf,
  TimeMsShape,
} from '../../protocol/http.ts';
import { fenToJson, parsePositiveFen } from '../../vocabulary/fen.ts';
import { parseWithdrawalId, type WithdrawalId } from '../../vocabulary/ids.ts';
import type { Withdrawals } from './withdrawals.ts';

const PHONE_TOKENS_MAX = 200;
/** IETF draft-ietf-httpapi-idempotency-key-header: a visible string; 255 is what others accept. */
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

const WithdrawalShape = Type.Object({
  withdrawalId: Type.String(),
  state: Type.String(),
  amountFen: FenShape,
  requestedAtMs: TimeMsShape,
  settledAtMs: Type.Optional(TimeMsShape),
});

const withdrawalJson = (withdrawal: Withdrawal) => ({
  withdrawalId: withdrawal.id,
  state: withdrawal.state,
  amountFen: fenToJson(withdrawal.amountFen),
  requestedAtMs: withdrawal.requestedAtMs,
  ...(withdrawal.settledAtMs === undefined ? {} : { settledAtMs: withdrawal.settledAtMs }),
});

export interface WithdrawRouteDeps extends PlayerRouteDeps {
  readonly withdrawals: Withdrawals;
  readonly nudge: (id: WithdrawalId) => void;
}

/** POST and GET …/withdrawals, and the payout's notification. */
export const withdrawRoutes: FastifyPluginAsyncTypebox<WithdrawRouteDeps> = async (app, deps) => {
  app.post(
    '/v1/campaigns/:campaignId/withdrawals',
    {
      schema: {
        summary:
          'Take money out. The answer is always of the moment of holding; ask for the withdrawal to see it paid',
        params: CampaignParams,
        headers: Type.Object({
          'idempotency-key': Type.Optional(
            Type.String({ description: 'One key a withdrawal; the same again gives the first answer' }),
          ),
        }),
        body: Type.Object(
          {
            amountFen: Type.Unsafe<unknown>({
              type: 'integer',
              minimum: 1,
              description: 'In fen, 1/100 yuan',
            }),
            tokens: Type.Optional(
              Type.Array(Type.String({ maxLength: 1_400 }), { maxItems: PHONE_TOKENS_MAX }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 202: WithdrawalShape, ...problemResponses },
      },
      // The amount's own refusal says more than the schema's would.
      validatorCompiler: ({ httpPart }) =>
        httpPart === 'body' ? checkBody : (part: unknown) => ({ value: part }),
    },
    async (request, reply) => {
      const admitted = await admit(deps, request);
      if (isRefusal(admitted)) return sendProblem(reply, admitted);
      const key = request.headers['idempotency-key'];
      if (key === undefined)
        return sendProblemOf(
          reply,
          'idempotency-key-missing',
          'send a fresh Idempotency-Key with each withdrawal',
        );
      if (typeof key !== 'string' || !IDEMPOTENCY_KEY.test(key))
        return sendProblemOf(reply, 'malformed', 'Idempotency-Key is 1 to 255 visible ASCII characters');
      const body = request.body as { amountFen: unknown; tokens?: string[] };
      const amountFen = typeof body.amountFen === 'number' ? parsePositiveFen(body.amountFen) : undefined;
      if (amountFen === undefined)
        return sendProblemOf(reply, 'amount-invalid', 'amountFen is a whole number of fen, at least 1');
      const answer = await deps.withdrawals.request(admitted.player, admitted.campaign, {
        amountFen,
        idempotencyKey: key,
        tokens: body.tokens ?? [],
      });
      if (isRefusal(answer)) return sendProblem(reply, answer);
      // A replay is byte for byte the first answer, whatever has become of the withdrawal since.
      const { withdrawalId, amountFen: amount, requestedAtMs } = withdrawalJson(answer);
      return reply.code(202).send({ withdrawalId, state: 'held', amountFen: amount, requestedAtMs });
    },
  );

  app.get(
    '/v1/campaigns/:campaignId/withdrawals/:withdrawalId',
    {
      schema: {
        summary: 'What has become of a withdrawal',
        params: Type.Object({
          campaignId: Type.String({ maxLength: 64 }),
          withdrawalId: Type.String({ maxLength: 64 }),
        }),
        response: { 200: WithdrawalShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const admitted = await admit(deps, request);
      if (isRefusal(admitted)) return sendProblem(reply, admitted);
      const id = parseWithdrawalId(request.params.withdrawalId);
      if (!id) return sendProblemOf(reply, 'withdrawal-unknown', 'this person has no withdrawal of this id');
      const answer = await deps.withdrawals.find(admitted.player, admitted.campaign, id);
      return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(withdrawalJson(answer));
    },
  );

  app.post(
    '/v1/payouts/notifications',
    {
      schema: {
        summary:
          'A payout’s state may have changed. Carries no authority: the payout is asked, whoever says so',
        body: Type.Object({ payoutId: Type.String({ maxLength: 64 }) }, { additionalProperties: true }),
        response: { 204: Type.Null(), ...problemResponses },
      },
    },
    async (request, reply) => {
      const id = parseWithdrawalId(request.body.payoutId);
      if (id) deps.nudge(id);
      return reply.code(204).send(null);
    },
  );
};

function checkBody(body: unknown): { value: unknown } | { error: Error } {
  const known = ['amountFen', 'tokens'];
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    return { error: new Error('body must be an object') };
  const unknown = Object.keys(body).find((name) => !known.includes(name));
  if (unknown !== undefined)
    return { error: new Error(`body has an unknown field ${JSON.stringify(unknown.slice(0, 40))}`) };
  const { tokens } = body as { tokens?: unknown };
  const fine =
    tokens === undefined ||
    (Array.isArray(tokens) &&
      tokens.length <= PHONE_TOKENS_MAX &&
      tokens.every((token) => typeof token === 'string' && token.length <= 1_400));
  return fine
    ? { value: body }
    : { error: new Error(`body/tokens is a list of at most ${PHONE_TOKENS_MAX} sealed tokens`) };
}
