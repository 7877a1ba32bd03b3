import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { AWARD_STATES, type Award } from '../../engines/ports.ts';
import { isRefusal } from '../../protocol/failures.ts';
import { FenShape, problemResponses, sendProblem, TimeMsShape } from '../../protocol/http.ts';
import { fenToJson } from '../../vocabulary/fen.ts';
import { ORDER_NUMBER_LENGTH_MAX, type OrderNumber } from '../../vocabulary/order-number.ts';
import type { DeadLetters } from '../dead-letters.ts';

const LIMIT = 100;
const OrderNumberShape = Type.String({ pattern: '^[A-Za-z0-9_-]+$', maxLength: ORDER_NUMBER_LENGTH_MAX });
const State = Type.Enum([...AWARD_STATES]);

/** Without the voucher: that is for its person's eyes only. */
const Line = Type.Object({
  orderNumber: Type.String(),
  phaseKey: Type.Integer(),
  state: State,
  worthFen: FenShape,
  tries: Type.Integer({ description: 'How often the downstream was asked for it, or about it' }),
  reason: Type.Optional(Type.String({ description: 'What the downstream said last' })),
  drawnAtMs: TimeMsShape,
  dueAtMs: TimeMsShape,
});

const Page = Type.Object({
  awards: Type.Array(Line),
  next: Type.Union([Type.String(), Type.Null()], {
    description: 'Ask with ?after= this for what follows; null at the end',
  }),
});

const lineOf = ({ account, orderNumber, state, worthFen, tries, reason, drawnAtMs, dueAtMs }: Award) => ({
  orderNumber,
  phaseKey: account.phaseKey,
  state,
  worthFen: fenToJson(worthFen),
  tries,
  ...(reason === undefined ? {} : { reason }),
  drawnAtMs,
  dueAtMs,
});

/** Pieces that are not handed out, for a person to look at and to replay. Registered behind the operators' check. */
export const awardRoutes: FastifyPluginAsyncTypebox<DeadLetters> = async (app, letters) => {
  const lists = {
    dead: 'Dead letters: no downstream will hand these out, unless somebody replays them',
    stuck: 'Pieces that are still asked for, or about, after many tries',
  } as const;
  for (const list of ['dead', 'stuck'] as const)
    app.get<{ Querystring: { after?: string; limit?: number } }>(
      `/ops/v1/awards/${list}`,
      {
        schema: {
          summary: lists[list],
          querystring: Type.Object(
            {
              after: Type.Optional(OrderNumberShape),
              limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
            },
            { additionalProperties: false },
          ),
          response: { 200: Page, ...problemResponses },
        },
      },
      async (request) => {
        const { after, limit = LIMIT } = request.query;
        const found = await letters[list](after as OrderNumber | undefined, limit);
        return {
          awards: found.map(lineOf),
          next: found.length === limit ? (found.at(-1)?.orderNumber ?? null) : null,
        };
      },
    );

  app.post<{ Params: { orderNumber: string } }>(
    '/ops/v1/awards/:orderNumber/replay',
    {
      schema: {
        summary: 'Takes a dead letter up again: the downstream is asked what became of it first',
        params: Type.Object({ orderNumber: OrderNumberShape }),
        response: {
          200: Type.Object({ replayed: Type.Boolean(), state: State }),
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const answer = await letters.replay(request.params.orderNumber);
      return isRefusal(answer) ? sendProblem(reply, answer) : answer;
    },
  );
};
