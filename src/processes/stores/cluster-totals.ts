import type { Logger } from 'pino';
import { connectRedis, type RedisClient } from '../../engines/redis/client.ts';
import { createRedisHotTotals, type RedisHotTotals } from '../../engines/redis/hot-totals.ts';
import { createTotalsServer } from '../../engines/redis/totals-server.ts';
import type { ClusterConfig } from '../config-cluster.ts';
import { random } from '../randomness.ts';

/** A server that is silent for longer is asked again in the next turn, and the other one meanwhile. */
const CALL_TIMEOUT_MS = 500;

/** The totals of a cluster, and the connections that they need beside the book's. */
export function openClusterTotals(deps: {
  cluster: ClusterConfig;
  /** Of this start of the process: a sum begins at nothing with it. */
  instance: string;
  /** Shared, where the totals lie on the book's servers. */
  bookClient: RedisClient;
  logger: Logger;
}): { readonly totals: RedisHotTotals; close(): Promise<void> } {
  const { cluster, logger } = deps;
  const own: RedisClient[] = [];
  const clientOf = (url: string): RedisClient => {
    if (url === cluster.bookUrl) return deps.bookClient;
    own.push(connectRedis({ url, logger, random, callTimeoutMs: CALL_TIMEOUT_MS }));
    return own.at(-1)!;
  };
  const totals = createRedisHotTotals({
    servers: cluster.totalsUrls.map((url) => createTotalsServer(clientOf(url), cluster.space)),
    instance: deps.instance,
    logger,
    random,
  });
  return {
    totals,
    async close() {
      await totals.close();
      await Promise.all(own.map((client) => client.close()));
    },
  };
}
