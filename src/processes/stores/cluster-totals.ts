import type { Logger } from 'pino';
import { instanceId } from '../../engines/embedded/instance-id.ts';
import { openUncounted } from '../../engines/embedded/uncounted.ts';
import type { HotTotal, LogPosition, LogRecord, LogSequence } from '../../engines/ports.ts';
import { connectRedis, type RedisClient } from '../../engines/redis/client.ts';
import { createRedisHotTotals, type RedisHotTotals } from '../../engines/redis/hot-totals.ts';
import { createTotalsServer } from '../../engines/redis/totals-server.ts';
import { recent } from '../../guard/recent.ts';
import { givenBy, NOTHING_GIVEN, plus } from '../../rules/hot-total.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { Config } from '../config.ts';
import type { ClusterConfig } from '../config-cluster.ts';
import { random } from '../randomness.ts';
import type { Untold } from './index.ts';

export interface ClusterTotals {
  readonly totals: RedisHotTotals;
  /** Each record of the own journal as it is opened; then `recounted`. */
  recount(record: LogRecord, isDrained: boolean): void;
  recounted(): void;
  promised(orders: readonly Order[]): void;
  /** Our own journal's record stands in the log now: what is not counted of it may have been given all the same. */
  replayed(orders: readonly Order[], standsAt: LogSequence, sequence: LogSequence): void;
  /** It is in the log, and came too late to be told; `sequence` is its place in our own journal, if that is known. */
  late(order: Order, position: LogPosition, sequence: LogSequence | undefined): Untold;
  onUntold(take: (entries: readonly Untold[]) => void): void;
  /** Told of while the log was down: if the log gets it twice after all, it was counted here. */
  toldUnlogged(orders: readonly Order[]): void;
  notCounted(sequence: LogSequence, leafIndexes?: readonly number[]): void;
  close(): Promise<void>;
}

/** A server that is silent for longer is asked again in the next turn, and the other one meanwhile. */
const CALL_TIMEOUT_MS = 500;
const UNLOGGED_MAX = 200_000;
/** A longer end is the work of an outage, in which nearly all of it was told. */
const TAIL_ORDERS_MAX = 50_000;

/** The totals of a cluster: counted here as packets are promised, recounted from this process's own journal. */
export function openClusterTotals(deps: {
  config: Config;
  cluster: ClusterConfig;
  /** Shared, where the totals lie on the book's servers. */
  bookClient: RedisClient;
  logger: Logger;
}): ClusterTotals {
  const { config, cluster, logger } = deps;
  const own: RedisClient[] = [];
  const clientOf = (url: string): RedisClient => {
    if (url === cluster.bookUrl) return deps.bookClient;
    own.push(connectRedis({ url, logger, random, callTimeoutMs: CALL_TIMEOUT_MS }));
    return own.at(-1)!;
  };
  const totals = createRedisHotTotals({
    servers: cluster.totalsUrls.map((url) => createTotalsServer(clientOf(url), cluster.space)),
    instance: instanceId(config.dataFolder),
    logger,
    random,
  });
  const uncounted = openUncounted(config.dataFolder, logger);
  const sums = new Map<PhaseKey, HotTotal>();

  const promised = (orders: readonly Order[]): void => {
    for (const order of orders) totals.add(order.phaseKey, givenBy(order));
  };
  let tailOrders = 0;
  const unlogged = recent<OrderNumber, true>(UNLOGGED_MAX);
  const untold = (order: Order, position: LogPosition, sequence: LogSequence): Untold => ({
    order,
    position,
    count() {
      uncounted.counts(sequence, position.leafIndex);
      promised([order]);
    },
  });
  let waiting: Untold[] = [];
  let take = (entries: readonly Untold[]): void => void waiting.push(...entries);

  return {
    totals,
    recount(record, isDrained) {
      if (record.kind === 'fence') return;
      // The end of the journal: it is replayed, and whether somebody was told, the book and the ledger know.
      if (!isDrained && tailOrders < TAIL_ORDERS_MAX) {
        tailOrders += record.orders.length;
        const leaves = record.orders.map((_, leafIndex) => leafIndex);
        uncounted.note(
          record.sequence,
          leaves.filter((leafIndex) => !uncounted.has(record.sequence, leafIndex)),
        );
        return;
      }
      for (const [leafIndex, order] of record.orders.entries())
        if (!uncounted.has(record.sequence, leafIndex))
          sums.set(order.phaseKey, plus(sums.get(order.phaseKey) ?? NOTHING_GIVEN, givenBy(order)));
    },
    recounted() {
      for (const [phaseKey, sum] of sums) totals.restore(phaseKey, sum);
      sums.clear();
    },
    promised,
    replayed(orders, standsAt, sequence) {
      const some = orders.flatMap((order, leafIndex) =>
        uncounted.isOpen(sequence, leafIndex) && !unlogged.has(order.orderNumber)
          ? [untold(order, { sequence: standsAt, leafIndex }, sequence)]
          : [],
      );
      if (some.length > 0) take(some);
    },
    late(order, position, sequence) {
      if (sequence === undefined) return { order, position, count: () => promised([order]) };
      uncounted.note(sequence, [position.leafIndex]);
      return untold(order, position, sequence);
    },
    onUntold(taker) {
      take = taker;
      if (waiting.length > 0) taker(waiting);
      waiting = [];
    },
    toldUnlogged(orders) {
      for (const { orderNumber } of orders) unlogged.set(orderNumber, true);
    },
    notCounted: uncounted.note,
    async close() {
      await uncounted.close();
      await totals.close();
      await Promise.all(own.map((client) => client.close()));
    },
  };
}
