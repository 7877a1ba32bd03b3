import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openJournal } from '../src/engines/embedded/journal/index.ts';
import type { GrantLog, TokenBook } from '../src/engines/ports.ts';
import { isRefusal } from '../src/protocol/failures.ts';
import { createGranter, type Granter } from '../src/stations/3-grant/grant.ts';
import { type Keyring, openKeyring } from '../src/stations/4-seal/keyring.ts';
import { createSealingLine } from '../src/stations/4-seal/sealing-line.ts';
import { bucketOf } from '../src/vocabulary/bucket.ts';
import type { SliceId } from '../src/vocabulary/ids.ts';
import type { Clock } from '../src/vocabulary/instant.ts';
import { testCampaign } from '../test/support/campaign.ts';
import { NOBODY_KNOWS } from '../test/support/credited-wins.ts';
import { anOrder } from '../test/support/orders.ts';
import { quiet } from '../test/support/postgres.ts';
import { BUCKETS, connected, emptied, redisBook } from '../test/support/redis.ts';
import { startRedisCluster } from '../tools/services.ts';
import { median, twoPlaces } from './figures.ts';
import { processCpuMs } from './server-cpu.ts';

export interface TurnFigures {
  /** Grants of distinct people a second: cap and first answer looked up in Redis, sealed, appended, noted there. */
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

const GRANTS = 40_000;
const UNDER_WAY = 2_048;
const ROUNDS = 5;

const ORDERS = Array.from({ length: GRANTS }, (_, person) => anOrder({ person }));

/** A gateway's way of a grant, but for HTTP before it and the stream behind its journal: caps, seal, fsync, note. */
function granterOver(book: TokenBook, log: GrantLog, keyring: Keyring): Granter {
  const lines = Array.from({ length: BUCKETS }, () =>
    createSealingLine({
      keyring,
      log,
      nowMs: () => 0,
      onAppended: async (entries) => void (await book.record(entries)),
    }),
  );
  const granter = createGranter({
    fateOf: async () => 'unknown',
    creditedWins: NOBODY_KNOWS,
    book,
    campaign: () => testCampaign,
    promisedAt: async () => {
      throw new Error('nobody is granted anything twice here');
    },
    promise: (order) => lines[bucketOf(order.actId, BUCKETS)]!.promise(order),
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
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-bench-turns-'));
  const clock: Clock = { now: () => ORDERS[0]!.drawnAtMs, monotonicMs: () => 0 };
  const keyring = openKeyring(path.join(folder, 'keys'), clock);
  const log = await openJournal({ folder: path.join(folder, 'journal'), logger: quiet });
  const cluster = await startRedisCluster({ replicas: 0 });
  const client = await connected(cluster.url);
  try {
    const book = redisBook(client);
    const withoutTurns: TokenBook = {
      ...book,
      takeTurn: async (actId, phaseKey) => ({
        wins: await book.winsOf(actId, phaseKey),
        isAll: true,
        lasts: () => true,
        endsWith() {},
        giveBack() {},
      }),
    };
    const serversMs = () => cluster.nodes.reduce((ms, node) => ms + processCpuMs(node.pid), 0);
    const measured = async (one: TokenBook): Promise<Measured> => {
      await emptied(cluster);
      const granter = granterOver(one, log, keyring);
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
    const middle = (values: readonly number[]) => twoPlaces(median(values));
    const cpuOf = (one: Measured) => one.gatewayMicros + one.serverMicros;
    return {
      grantsInTurnPerSecond: Math.round(Math.max(...inTurn.map((one) => one.perSecond))),
      grantsWithoutTurnPerSecond: Math.round(Math.max(...without.map((one) => one.perSecond))),
      gatewayMicrosOfAGrantInTurn: middle(inTurn.map((one) => one.gatewayMicros)),
      gatewayMicrosOfAGrantWithoutTurn: middle(without.map((one) => one.gatewayMicros)),
      serverMicrosOfAGrantInTurn: middle(inTurn.map((one) => one.serverMicros)),
      serverMicrosOfAGrantWithoutTurn: middle(without.map((one) => one.serverMicros)),
      noTurnOverTurnCpu: middle(without.map((one, round) => cpuOf(one) / cpuOf(inTurn[round]!))),
    };
  } finally {
    await client.close();
    await cluster.stop();
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
