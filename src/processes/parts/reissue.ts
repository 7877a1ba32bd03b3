import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import { askForLine } from '../../control/reissue/ask.ts';
import { checkLines } from '../../control/reissue/check.ts';
import { createReissueDesk } from '../../control/reissue/desk.ts';
import { reissueRoutes } from '../../control/reissue/http.ts';
import { createReissueWorker } from '../../control/reissue/worker.ts';
import type { OrderName } from '../../engines/ports.ts';
import { gather } from '../../guard/gather.ts';
import { userKeyOf } from '../../guard/sessions.ts';
import { unlessBookIsAway } from '../../guard/weak.ts';
import type { Granter } from '../../stations/3-grant/grant.ts';
import { createSceneSlices } from '../../stations/3-grant/slices.ts';
import { createStock } from '../../stations/3-grant/stock.ts';
import { createUpstreamGranter } from '../../stations/3-grant/upstream.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { ActId, AppId, PhaseKey } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { Stores } from '../stores/index.ts';

export interface ReissuePartDeps {
  readonly stores: Stores;
  readonly granter: Granter;
  readonly campaigns: () => ReadonlyMap<string, CampaignSnapshot>;
  readonly identityKey: Buffer;
  readonly operatorOf: (secret: string | undefined) => Promise<string | undefined>;
  /** The same after a restart. */
  readonly instance: string;
  /** Names this process and its data folder. */
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly onFatal: (error: unknown) => void;
}

export interface ReissuePart {
  start(): void;
  /** What is under way is settled, slices go back, and another control goes on. */
  stop(): Promise<void>;
}

const BRING_MS_MAX = 300_000;

/** Batch reissue: ordinary grant orders, from a list, by control's own upstream granter. */
export async function createReissuePart(
  ops: FastifyInstance,
  { stores, granter, clock, logger, metrics, ...deps }: ReissuePartDeps,
): Promise<ReissuePart> {
  const { allotments, book, control, ledger } = stores;
  const campaign = (id: string) => deps.campaigns().get(id);
  const slices = createSceneSlices({
    granter,
    allotments,
    holder: `reissue ${deps.holder}`,
    clock,
    logger,
    isLow: createStock(allotments, clock).isLow,
    // What is exhausted is waited for by the worker, and by more than time.
    times: { exhaustedFor: 0 },
  });
  const upstream = createUpstreamGranter({ granter, slices, clock });
  const isCredited = async (actId: ActId, phaseKey: PhaseKey, orderNumber: OrderNumber): Promise<boolean> =>
    (await ledger.wallet({ actId, phaseKey }, [orderNumber])).credited.has(orderNumber);
  const isPromised = async ({ actId, phaseKey, orderNumber }: OrderName): Promise<boolean> =>
    (await unlessBookIsAway(() => book.winsOf(actId, phaseKey), [])).some(
      (win) => win.orderNumber === orderNumber,
    );
  /** Both are asked about all: the book may be away or have forgotten, and the ledger may not have it yet. */
  const areGiven = async (orders: readonly OrderName[]): Promise<readonly boolean[]> => {
    const promised = await Promise.all(orders.map(isPromised));
    const credited = await ledger.areCredited(orders);
    return orders.map((_, index) => promised[index]! || credited[index]!);
  };
  const personOf = gather(control.personsOf);
  const worker = createReissueWorker({
    reissues: stores.reissues,
    worker: deps.instance,
    check: (lines) => checkLines({ campaign, personsFor: control.personsFor, areGiven }, lines),
    ask: (line) => askForLine({ campaign, grant: upstream.grant, personOf, isCredited }, line),
    unclosedSlices: async () => (await allotments.unclosed()).map(({ slice }) => slice),
    clock,
    logger,
    onSettled: (outcome) => metrics.reissued.inc({ outcome }),
    onFatal: deps.onFatal,
  });
  // A large list is read no faster than the database takes it.
  ops.server.requestTimeout = BRING_MS_MAX;
  await ops.register(reissueRoutes, {
    operatorOf: deps.operatorOf,
    desk: createReissueDesk({
      reissues: stores.reissues,
      operators: stores.operators,
      budgets: allotments.budgets,
      campaigns: deps.campaigns,
      userKeyOf: (appId: AppId, user: string) => userKeyOf(deps.identityKey, appId, user),
      clock,
      wake: worker.wake,
    }),
  });
  return {
    start() {
      slices.start();
      worker.start();
    },
    async stop() {
      await worker.stop();
      await slices.stop();
    },
  };
}
