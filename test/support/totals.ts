import { randomInt } from 'node:crypto';
import type { HotTotal } from '../../src/engines/ports.ts';
import { createRedisHotTotals, type RedisHotTotals } from '../../src/engines/redis/hot-totals.ts';
import { createTotalsServer, type TotalsServer } from '../../src/engines/redis/totals-server.ts';
import { fen } from '../../src/vocabulary/fen.ts';
import type { PhaseKey } from '../../src/vocabulary/ids.ts';
import { quiet } from './postgres.ts';

export const PHASE = 7 as PhaseKey;
export const aTotal = (money: number, packets: number): HotTotal => ({ fen: fen(BigInt(money)), packets });

/** One instance's totals; `instance` tells who it is over restarts. */
export const totalsOn = (
  servers: readonly TotalsServer[],
  instance: string,
  waitMs = 20_000,
): RedisHotTotals =>
  createRedisHotTotals({ servers, instance, logger: quiet, random: () => randomInt(1_000) / 1_000, waitMs });

export const serverOn = (client: Parameters<typeof createTotalsServer>[0]): TotalsServer =>
  createTotalsServer(client, 'test');
