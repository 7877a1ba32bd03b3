import pino from 'pino';
import type { TokenBook } from '../src/engines/ports.ts';
import { connectRedis } from '../src/engines/redis/client.ts';
import { createRedisTokenBook } from '../src/engines/redis/token-book.ts';
import { isRefusal } from '../src/protocol/failures.ts';
import { createGranter, type Granter } from '../src/stations/3-grant/grant.ts';
import { bucketOf } from '../src/vocabulary/bucket.ts';
import type { SliceId } from '../src/vocabulary/ids.ts';
import type { Order } from '../src/vocabulary/order.ts';
import { testCampaign } from '../test/support/campaign.ts';
import { anOrder } from '../test/support/orders.ts';
import { startRedisCluster } from '../tools/services.ts';
import { processCpuMs } from './server-cpu.ts';

export interface TurnFigures {
  /** Grants of distinct people a second: cap and first answer looked up in Redis, then noted there in micro-batches. */
  readonly grantsInTurnPerSecond: number;
  /** The same without the turn: only the wins are read. */
  readonly grantsWithoutTurnPerSecond: number;
  /** CPU time of a grant, in µs, of the gateway's process and of all servers. */
  readonly gatewayMicrosOfAGrantInTurn: number;
  readonly gatewayMicrosOfAGrantWithoutTurn: number;
  readonly serverMicrosOfAGrantInTurn: number;
  readonly serverMicrosOfAGrantWithoutTurn: number;
  /** The CPU time of a grant without the turn over that of one with it, gateway and servers; the median of the rounds. */
  readonly noTurnOverTurnCpu: number;
}

const BUCKETS = 16;
const GRANTS = 40_000;
const UNDER_WAY = 2_048;
const BATCH_DELAY_MS = 1;
const ROUNDS = 5;
const DAY_MS = 86_400_000;

const ORDERS = Array.from({ length: GRANTS }, (_, person) => anOrder({ person }));

/** Everything of a grant but the seal and the log, which would hide what Redis costs. */
function granterOver(book: TokenBook): Granter {
  const waiting = new Map<number, { order: Order; done: (made: { token: Uint8Array }) => void }[]>();
  const token = new Uint8Array();
  let sequence = 0;

  async function note(bucket: number): Promise<void> {
    const batch = waiting.get(bucket)!;
    waiting.delete(bucket);
    sequence += 1;
    await book.record(batch.map(({ order }, leafIndex) => ({ order, position: { sequence, leafIndex } })));
    for (const { done } of batch) done({ token });
  }

  const granter = createGranter({
    book,
    campaign: () => testCampaign,
    promisedAt: async () => {
      throw new Error('nobody is granted anything twice here');
    },
    promise: (order) =>
      new Promise((done) => {
        const bucket = bucketOf(order.actId, BUCKETS);
        const batch = waiting.get(bucket);
        if (batch) batch.push({ order, done });
        else {
          waiting.set(bucket, [{ order, done }]);
          setTimeout(() => void note(bucket), BATCH_DELAY_MS);
        }
      }),
  });
  granter.acceptSlice(1n as SliceId);
  return granter;
}

async function grantAll(granter: Granter): Promise<void> {
  let next = 0;
  const asker = async () => {
    while (next < GRANTS) {
      next += 1;
      const answer = await granter.grant(ORDERS[next - 1]!);
      if (isRefusal(answer)) throw new Error(`refused: ${answer.detail}`);
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, asker));
}

/** Grants a second, and CPU time of one in µs. */
interface Measured {
  readonly perSecond: number;
  readonly gatewayMicros: number;
  readonly serverMicros: number;
}

/** Three primaries, no replicas, one gateway: everything on the cores of this machine. */
export async function benchTurns(): Promise<TurnFigures> {
  const cluster = await startRedisCluster({ replicas: 0 });
  const client = connectRedis({
    url: cluster.url,
    logger: pino({ level: 'silent' }),
    random: Math.random,
    callTimeoutMs: 30_000,
  });
  try {
    await client.ready;
    const book = createRedisTokenBook({
      client,
      space: 'bench',
      buckets: BUCKETS,
      winsTtlMs: () => DAY_MS,
      random: Math.random,
    });
    const withoutTurns: TokenBook = {
      ...book,
      takeTurn: async (actId, phaseKey) => ({
        wins: await book.winsOf(actId, phaseKey),
        lasts: () => true,
        endsWith() {},
        giveBack() {},
      }),
    };
    const serversMs = () => cluster.nodes.reduce((ms, node) => ms + processCpuMs(node.pid), 0);
    const measured = async (one: TokenBook): Promise<Measured> => {
      await Promise.all((await cluster.primaries()).map((node) => node.call('FLUSHALL')));
      const granter = granterOver(one);
      const before = { atMs: performance.now(), own: process.cpuUsage(), serversMs: serversMs() };
      await grantAll(granter);
      const seconds = (performance.now() - before.atMs) / 1_000;
      const { user, system } = process.cpuUsage(before.own);
      return {
        perSecond: GRANTS / seconds,
        gatewayMicros: (user + system) / GRANTS,
        serverMicros: ((serversMs() - before.serversMs) * 1_000) / GRANTS,
      };
    };
    await measured(withoutTurns);
    await measured(book);
    const without: Measured[] = [];
    const inTurn: Measured[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      without.push(await measured(withoutTurns));
      inTurn.push(await measured(book));
    }
    const cpuOf = (one: Measured) => one.gatewayMicros + one.serverMicros;
    return {
      grantsInTurnPerSecond: Math.round(Math.max(...inTurn.map((one) => one.perSecond))),
      grantsWithoutTurnPerSecond: Math.round(Math.max(...without.map((one) => one.perSecond))),
      gatewayMicrosOfAGrantInTurn: median(inTurn.map((one) => one.gatewayMicros)),
      gatewayMicrosOfAGrantWithoutTurn: median(without.map((one) => one.gatewayMicros)),
      serverMicrosOfAGrantInTurn: median(inTurn.map((one) => one.serverMicros)),
      serverMicrosOfAGrantWithoutTurn: median(without.map((one) => one.serverMicros)),
      noTurnOverTurnCpu: median(without.map((one, round) => cpuOf(one) / cpuOf(inTurn[round]!))),
    };
  } finally {
    await client.close();
    await cluster.stop();
  }
}

const median = (values: readonly number[]): number =>
  Number([...values].sort((a, b) => a - b)[values.length >> 1]!.toFixed(2));
