import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { admit, type PlayerRouteDeps } from '../../guard/http.ts';
import { isRefusal } from '../../protocol/failures.ts';
import {
  BilingualShape,
  CampaignParams,
  FenShape,
  problemResponses,
  sendProblem,
  sendProblemOf,
  TimeMsShape,
} from '../../protocol/http.ts';
import {
  PHONE_TOKENS_BODY_BYTES_MAX,
  PHONE_TOKENS_MAX,
  PhoneTokensShape,
} from '../../protocol/phone-tokens.ts';
import { decodeCursor } from '../../rules/merge-records.ts';
import { fenToJson } from '../../vocabulary/fen.ts';
import { ORDER_NUMBER_LENGTH_MAX } from '../../vocabulary/order-number.ts';
import type { AwardLine } from './awards.ts';
import {
  FIRST_PAGE_LINES,
  type RecordsPage,
  type Wallet,
  type WalletLine,
  type WalletOverview,
} from './wallet.ts';

const RecordShape = Type.Object({
  kind: Type.String({ description: 'credit, withdrawal or transfer' }),
  ref: Type.String({ description: 'The order number of a credit, the id of a withdrawal' }),
  atMs: TimeMsShape,
  amountFen: FenShape,
  status: Type.String({ description: 'outstanding, credited, or a withdrawal’s state' }),
  bill: BilingualShape,
  sceneId: Type.Optional(Type.String()),
  rainId: Type.Optional(Type.Integer()),
});
const AwardShape = Type.Object({
  orderNumber: Type.String(),
  awardType: Type.String({ description: 'As in the campaign file' }),
  sceneId: Type.String(),
  state: Type.String({
    description:
      'granted and asking: on its way. fulfilled: can be used. used. dead: somebody has to look at it',
  }),
  worthFen: FenShape,
  drawnAtMs: TimeMsShape,
  bill: BilingualShape,
  voucher: Type.Optional(Type.String({ description: 'The code or link that it is used with' })),
  usedAtMs: Type.Optional(TimeMsShape),
});
const PageShape = Type.Object({ records: Type.Array(RecordShape), nextCursor: Type.Optional(Type.String()) });
const OverviewShape = Type.Object({
  balanceFen: FenShape,
  creditedFen: FenShape,
  outstandingFen: FenShape,
  heldFen: FenShape,
  totalIncomeFen: FenShape,
  awards: Type.Array(AwardShape, { description: 'Everything that is not money, newest first' }),
  records: Type.Array(RecordShape),
  nextCursor: Type.Optional(Type.String()),
  refusedTokens: Type.Array(Type.Object({ index: Type.Integer(), code: Type.String() })),
  complete: Type.Boolean({
    description:
      'false: what is not credited yet can’t be looked up now, and shows only if the phone sent its token',
  }),
});

const lineJson = (line: WalletLine) => ({ ...line, amountFen: fenToJson(line.amountFen) });
const awardJson = (award: AwardLine) => ({ ...award, worthFen: fenToJson(award.worthFen) });
const pageJson = (page: RecordsPage) => ({
  records: page.records.map(lineJson),
  ...(page.nextCursor === undefined ? {} : { nextCursor: page.nextCursor }),
});
const overviewJson = (overview: WalletOverview) => ({
  balanceFen: fenToJson(overview.balanceFen),
  creditedFen: fenToJson(overview.creditedFen),
  outstandingFen: fenToJson(overview.outstandingFen),
  heldFen: fenToJson(overview.heldFen),
  totalIncomeFen: fenToJson(overview.totalIncomeFen),
  awards: overview.awards.map(awardJson),
  ...pageJson(overview),
  refusedTokens: [...overview.refusedTokens],
  complete: overview.complete,
});

/** GET and POST …/wallet, GET …/wallet/records, POST …/awards/{orderNumber}/use. */
export const walletRoutes: FastifyPluginAsyncTypebox<PlayerRouteDeps & { wallet: Wallet }> = async (
  app,
  deps,
) => {
  const { wallet } = deps;

  app.get(
    '/v1/campaigns/:campaignId/wallet',
    {
      schema: {
        summary: 'What the person has',
        params: CampaignParams,
        response: { 200: OverviewShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const admitted = await admit(deps, request);
      if (isRefusal(admitted)) return sendProblem(reply, admitted);
      const overview = await wallet.overview(admitted.player, admitted.campaign, []);
      return isRefusal(overview) ? sendProblem(reply, overview) : reply.send(overviewJson(overview));
    },
  );

  app.post(
    '/v1/campaigns/:campaignId/wallet',
    {
      bodyLimit: PHONE_TOKENS_BODY_BYTES_MAX,
      schema: {
        summary: 'What the person has, with the tokens that the phone keeps counted in',
        params: CampaignParams,
        body: Type.Object({ tokens: PhoneTokensShape }, { additionalProperties: false }),
        response: { 200: OverviewShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const admitted = await admit(deps, request);
      if (isRefusal(admitted)) return sendProblem(reply, admitted);
      const { tokens } = request.body;
      if (tokens.length > PHONE_TOKENS_MAX)
        return sendProblemOf(reply, 'too-many-tokens', `send at most ${PHONE_TOKENS_MAX} at once`);
      const overview = await wallet.overview(admitted.player, admitted.campaign, tokens);
      return isRefusal(overview) ? sendProblem(reply, overview) : reply.send(overviewJson(overview));
    },
  );

  app.get(
    '/v1/campaigns/:campaignId/wallet/records',
    {
      schema: {
        summary: 'The wallet’s lines, newest first',
        params: CampaignParams,
        querystring: Type.Object({
          cursor: Type.Optional(Type.String({ description: 'The nextCursor of the page before' })),
          limit: Type.Optional(Type.String({ pattern: '^([1-9][0-9]?|100)$', description: '1 to 100' })),
        }),
        response: { 200: PageShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const admitted = await admit(deps, request);
      if (isRefusal(admitted)) return sendProblem(reply, admitted);
      const { cursor, limit } = request.query;
      const after = cursor === undefined ? undefined : decodeCursor(cursor);
      if (cursor !== undefined && !after)
        return sendProblemOf(reply, 'cursor-invalid', 'take the cursor from nextCursor');
      const lines = Number(limit ?? FIRST_PAGE_LINES);
      const page = await wallet.records(admitted.player, admitted.campaign, after, lines);
      return isRefusal(page) ? sendProblem(reply, page) : reply.send(pageJson(page));
    },
  );

  app.post(
    '/v1/campaigns/:campaignId/awards/:orderNumber/use',
    {
      schema: {
        summary: 'Mark an award as used; the same again gives the first answer',
        params: Type.Object({
          ...CampaignParams.properties,
          orderNumber: Type.String({ maxLength: ORDER_NUMBER_LENGTH_MAX }),
        }),
        response: { 200: AwardShape, ...problemResponses },
      },
    },
    async (request, reply) => {
      const admitted = await admit(deps, request);
      if (isRefusal(admitted)) return sendProblem(reply, admitted);
      const used = await wallet.use(admitted.player, admitted.campaign, request.params.orderNumber);
      return isRefusal(used) ? sendProblem(reply, used) : reply.send(awardJson(used));
    },
  );
};
