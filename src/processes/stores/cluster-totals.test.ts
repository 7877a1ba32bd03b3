import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { aBatch } from '../../../test/support/batches.ts';
import { anOrder } from '../../../test/support/orders.ts';
import { quiet } from '../../../test/support/postgres.ts';
import { connected, emptied, eventually } from '../../../test/support/redis.ts';
import { aTotal } from '../../../test/support/totals.ts';
import { type RedisCluster, startRedisCluster } from '../../../tools/services.ts';
import type { LogRecord, MicroBatch } from '../../engines/ports.ts';
import type { RedisClient } from '../../engines/redis/client.ts';
import { readConfig } from '../config.ts';
import { openClusterTotals } from './cluster-totals.ts';
import type { Untold } from './index.ts';

const LEDGER = 'postgres://127.0.0.1:1/x';

/** A yuan for each of these people. */
const cashFor = (people: readonly number[]): MicroBatch => ({
  ...aBatch(people),
  orders: people.map((person) => anOrder({ person, fen: 100 })),
});

describe('what a process of a cluster counts', () => {
  let redis: RedisCluster;
  let bookClient: RedisClient;
  let folder: string;
  beforeAll(async () => {
    redis = await startRedisCluster({ primaries: 1, replicas: 0 });
    bookClient = await connected(redis.url);
  });
  beforeEach(async () => {
    await emptied(redis);
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-totals-'));
  });
  afterAll(async () => {
    await bookClient?.close();
    await redis?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const open = (dataFolder: string) => {
    const read = readConfig({
      HONGBAO_DATA: dataFolder,
      HONGBAO_LEDGER: LEDGER,
      HONGBAO_LOG: 'nats://127.0.0.1:1',
      HONGBAO_BOOK: redis.url,
    });
    if (!('config' in read)) throw new Error(JSON.stringify(read.problems));
    const { config } = read;
    return openClusterTotals({ config, cluster: config.cluster!, bookClient, logger: quiet });
  };
  const records = (batches: readonly MicroBatch[]): LogRecord[] =>
    batches.map((batch, at) => ({ kind: 'grants', sequence: at + 1, ...batch }));
  const phaseKey = cashFor([1]).orders[0]!.phaseKey;
  const shows = (totals: ReturnType<typeof open>, money: number, packets: number) =>
    eventually(async () => expect(await totals.totals.read(phaseKey)).toEqual(aTotal(money, packets)));

  it('is what it told; after a restart what its journal holds, without what is unknown; and the others’', async () => {
    const first = open(folder);
    const journal = [cashFor([1, 2]), cashFor([3]), cashFor([4, 5])];
    first.promised(journal[0]!.orders);
    // The outcome of the second is unknown; of the third, the ledger refused one.
    first.notCounted(2);
    first.notCounted(3, [1]);
    first.promised(journal[2]!.orders.slice(0, 1));
    await shows(first, 300, 3);
    await first.close();

    const again = open(folder);
    for (const record of records(journal)) again.recount(record, true);
    again.recounted();
    const other = open(path.join(folder, 'other'));
    other.promised(cashFor([9]).orders);
    await shows(again, 400, 4);
    await shows(other, 400, 4);
    await Promise.all([again.close(), other.close()]);
  });

  it('hands out what it left unknown when it stands in the log; what counts then, counts after a restart too', async () => {
    const totals = open(folder);
    const unknown = cashFor([3]);
    totals.notCounted(1);
    totals.replayed(unknown.orders, 70, 1);
    // Promised without the log after all, and counted as it was told.
    totals.notCounted(2);
    totals.toldUnlogged(cashFor([4]).orders);
    totals.replayed(cashFor([4]).orders, 71, 2);
    const handedOut: Untold[] = [];
    totals.onUntold((entries) => handedOut.push(...entries));
    expect(handedOut.map(({ position }) => position)).toEqual([{ sequence: 70, leafIndex: 0 }]);
    handedOut[0]!.count!();
    await shows(totals, 100, 1);
    await totals.close();
    await emptied(redis);

    const again = open(folder);
    for (const record of records([unknown, cashFor([4])])) again.recount(record, true);
    again.recounted();
    await shows(again, 100, 1);
    await again.close();
  });

  it('after a kill takes the end of its journal for unknown, once: it is replayed, and handed out with its place', async () => {
    const journal = records([cashFor([1]), cashFor([2, 3])]);
    const killed = open(folder);
    killed.recount(journal[0]!, true);
    killed.recount(journal[1]!, false);
    killed.recounted();
    const handedOut: Untold[] = [];
    killed.onUntold((entries) => handedOut.push(...entries));
    killed.replayed(cashFor([2, 3]).orders, 80, 2);
    expect(handedOut.map(({ position }) => position.leafIndex)).toEqual([0, 1]);
    handedOut[1]!.count!();
    await shows(killed, 200, 2);
    await killed.close();

    const again = open(folder);
    for (const record of journal) again.recount(record, true);
    again.recounted();
    // What came too late for an answer is open as well, and stays out until it is counted.
    const late = again.late(cashFor([9]).orders[0]!, { sequence: 90, leafIndex: 0 }, 3);
    await shows(again, 200, 2);
    late.count!();
    await shows(again, 300, 3);
    await again.close();
  });
});
