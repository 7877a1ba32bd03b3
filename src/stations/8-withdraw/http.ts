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
import { PHONE_TOKENS_BODY_BYTES_MAX } from '../../protocol/phone-tokens.ts';
import { fenToJson } from '../../vocabulary/fen.ts';
import { parseWithdrawalId, type WithdrawalId } from '../../vocabulary/ids.ts';
import { readIdempotencyKey, readWithdrawalBody, WithdrawalBodyShape } from './body.ts';
import type { Withdrawals } from './withdrawals.ts';

const NOTIFICATION_BYTES_MAX = 4 << 10;

const WithdrawalShape = Type.Object({
  withdrawalId: Type.String(),
  state: Type.String({ description: 'held, paying, paid or returned' }),
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

/** What was answered at the moment of holding; a replay is the same, whatever has become of it since. */
const firstAnswer = ({ id, amountFen, requestedAtMs }: Withdrawal) => ({
  withdrawalId: id,
  state: 'held',
  amountFen: fenToJson(amountFen),
  requestedAtMs,
});

export interface WithdrawRouteDeps extends PlayerRouteDeps {
  readonly withdrawals: Withdrawals;
  /** False when too many came in this second. */
  readonly nudge: (id: WithdrawalId) => boolean;
}

/** POST and GET …/withdrawals, and the payout's notification. */
export const withdrawRoutes: FastifyPluginAsyncTypebox<WithdrawRouteDeps> = async (app, deps) => {
  app.post(
    '/v1/campaigns/:campaignId/withdrawals',
    {
      bodyLimit: PHONE_TOKENS_BODY_BYTES_MAX,
      // The handler reads body and headers itself (body.ts); the schema describes them.
      validatorCompiler: () => () => true,
      schema: {
        summary: 'Take money out. Answers at the moment of holding; ask for the withdrawal to see it paid',
        params: CampaignParams,
        headers: Type.Object({
          'idempotency-key': Type.Optional(
            Type.String({ description: 'One key a withdrawal; the same again gives the first answer' }),
          ),
        }),
        body: WithdrawalBodyShape,
        response: { 202: WithdrawalShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const admitted = await admit(deps, request);
      if (isRefusal(admitted)) return sendProblem(reply, admitted);
      const idempotency = readIdempotencyKey(request.headers['idempotency-key']);
      if (isRefusal(idempotency)) return sendProblem(reply, idempotency);
      const body = readWithdrawalBody(request.body);
      if (isRefusal(body)) return sendProblem(reply, body);
      const ask = { ...body, idempotencyKey: idempotency.key };
      const answer = await deps.withdrawals.request(admitted.player, admitted.campaign, ask);
      return isRefusal(answer) ? sendProblem(reply, answer) : reply.code(202).send(firstAnswer(answer));
    },
  );

  app.get(
    '/v1/campaigns/:campaignId/withdrawals/:withdrawalId',
    {
      schema: {
        summary: 'What has become of a withdrawal',
        params: Type.Object({ ...CampaignParams.properties, withdrawalId: Type.String() }),
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
      bodyLimit: NOTIFICATION_BYTES_MAX,
      schema: {
        summary:
          'A payout’s state may have changed. Carries no authority: the payout is asked, whoever says so',
        body: Type.Object({ payoutId: Type.String() }, { additionalProperties: true }),
        response: { 204: Type.Null(), ...problemResponses },
      },
    },
    async (request, reply) => {
      const id = parseWithdrawalId(request.body.payoutId);
      if (id && !deps.nudge(id))
        return sendProblemOf(reply, 'throttled', 'the payouts are asked by themselves, too');
      return reply.code(204).send(null);
    },
  );
};
