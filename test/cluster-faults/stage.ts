import { cpSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readHistory } from '../../rehearsal/audit/check-history.ts';
import type { AuditReport } from '../../rehearsal/audit/index.ts';
import { type Crowd, type CrowdCounts, startCrowd } from '../../rehearsal/crowd/index.ts';
import { type Cluster, type ClusterOptions, type Servers, startCluster } from '../../tools/cluster/index.ts';
import { auditOf, auditWithTotals, untilSettled } from '../../tools/cluster/night.ts';
import type { ServerNode } from '../../tools/services.ts';
import { seeded } from '../support/orders.ts';
import { describeWithServers } from '../support/servers.ts';
import { counterOf, rowsOf } from './looks.ts';

export const CAMPAIGN = { campaignFile: 'test/faults/kill-campaign.yaml', campaignId: 'kill' };
/** Orders that a gateway has credited by itself, because the log was away. */
export const UNLOGGED = 'hongbao_unlogged_orders_total';
const BUCKETS = 8;
const PEOPLE_AT_A_GATEWAY = 8;
const THINK_MS = 80;
const ROUNDS = Number(process.env.HONGBAO_ROUNDS ?? 2);
const ROUND_MS_MAX = 400_000;
/** Of a wait for something that must come about. The machine may be slow, and others may use it. */
const PATIENCE_MS = 120_000;

/** What a fault is told with: a cluster, a crowd that plays on it, and chance that can be repeated. */
export interface Round {
  readonly cluster: Cluster;
  readonly seed: number;
  readonly random: () => number;
  counts(): CrowdCounts;
  /** A moment nobody has planned, of at most two seconds. */
  untilAnyMoment(): Promise<void>;
  /** Resolves when people have won so many packets more, after this call. */
  untilMoreWon(packets: number): Promise<void>;
  /** The orders that people were told "won" for, of all rounds so far. */
  wonOrders(): readonly string[];
  oneOf<Item>(items: readonly Item[]): Item;
}

export interface PlayOptions {
  /** Everybody's phone sends everything two times. */
  readonly everythingTwice?: boolean;
  /** Whoever gets no answer tries the other gateway. */
  readonly peopleMoveOn?: boolean;
  /**
   * The book goes away meanwhile, or it promises anew what the log has lost: from then on this cluster may have answered
   * an order with two sealings of it.
   */
  readonly mayReseal?: boolean;
  readonly people?: number;
  /** Between two acts of a person. Slower for a fault that takes long, lest everybody reaches their caps. */
  readonly thinkMs?: number;
}

/** Tells a fault: hurts, looks, heals. Afterwards everything settles, and the auditor looks. */
export type Fault = (round: Round) => Promise<void>;

export interface Stage {
  cluster(): Cluster;
  /** A fault, in so many rounds, each with chance of its own. */
  fault(name: string, fault: Fault, options?: PlayOptions): void;
}

/** One cluster for the faults of a file. `make` starts it; by default as `npm run cluster` does. */
export function onACluster(
  title: string,
  tell: (stage: Stage) => void,
  make: () => Promise<Cluster> = () => startForFaults(),
): void {
  describeWithServers(['redis', 'nats'], title, () => {
    let cluster: Cluster;
    let file = '';
    beforeAll(async () => {
      file = path.relative('.', expect.getState().testPath ?? '');
      cluster = await make();
      await cluster.applyCampaign(CAMPAIGN.campaignFile);
    }, 300_000);
    afterAll(() => cluster?.stop(), 120_000);
    let resealed = false;
    const first = Number(process.env.HONGBAO_SEED ?? Date.now() % 2 ** 31);

    const fault: Stage['fault'] = (name, act, options = {}) => {
      for (let number = 0; number < ROUNDS; number += 1) {
        const seed = first + number * 1_001;
        it(`${name} (seed ${seed})`, { timeout: ROUND_MS_MAX }, async () => {
          process.stderr.write(
            `${title}: ${name}: repeat with HONGBAO_SEED=${seed} HONGBAO_ROUNDS=1 npm run faults -- ${file} -t '${name}'\n`,
          );
          try {
            resealed ||= options.mayReseal ?? false;
            await playRound(cluster, { name, act, options, seed, resealed });
          } catch (error) {
            process.stderr.write(`logs of every process are kept in ${keepLogs(cluster, seed)}\n`);
            throw error;
          }
        });
      }
    };
    tell({ cluster: () => cluster, fault });
  });
}

export const startForFaults = (options: ClusterOptions = {}): Promise<Cluster> =>
  startCluster({ buckets: BUCKETS, ...options });

/** On servers of the test's own, which go with it. */
export async function startForFaultsOn(servers: Servers, options: ClusterOptions = {}): Promise<Cluster> {
  try {
    const made = await startForFaults({ ...options, servers });
    return {
      ...made,
      async stop() {
        await made.stop();
        await servers.stop();
      },
    };
  } catch (error) {
    await servers.stop();
    throw error;
  }
}

async function playRound(
  cluster: Cluster,
  {
    name,
    act,
    options,
    seed,
    resealed,
  }: { name: string; act: Fault; options: PlayOptions; seed: number; resealed: boolean },
): Promise<void> {
  const random = seeded(seed ^ crc32(name));
  const historyFile = path.join(path.dirname(cluster.keysFolder), 'history.jsonl');
  const crowds = startCrowds(cluster, historyFile, options, random);
  const counts = () => crowds.map((crowd) => crowd.counts).reduce(added);
  const round: Round = {
    cluster,
    seed,
    random,
    counts,
    untilAnyMoment: () => delay(2_000 * random()),
    async untilMoreWon(packets) {
      const { won } = counts();
      await until(
        async () => counts().won >= won + packets,
        () => `${packets} more packets are won: ${JSON.stringify(counts())} ${said(crowds)}`,
      );
    },
    wonOrders: () => readHistory(historyFile).flatMap((seen) => (seen.t === 'won' ? [seen.orderNumber] : [])),
    oneOf: (items) => items[Math.floor(random() * items.length)]!,
  };
  try {
    await round.untilMoreWon(10);
    await round.untilAnyMoment();
    await act(round);
    await round.untilMoreWon(10);
  } catch (error) {
    await heal(cluster);
    throw error;
  } finally {
    await goHome(crowds);
  }
  const audit = await settledAudit(cluster, historyFile, resealed);
  expect(cluster.processes.filter((one) => !one.isRunning).map((one) => one.name)).toEqual([]);
  expect(audit.findings).toEqual([]);
  expect((await auditWithTotals(cluster, { historyFile, settled: true, resealed })).findings).toEqual([]);
  expect(audit.checked).toMatchObject({
    outstanding: 0,
    owed: 0,
    credits: audit.checked.orders! - audit.checked.voided!,
  });
}

function startCrowds(
  cluster: Cluster,
  historyFile: string,
  options: PlayOptions,
  random: () => number,
): Crowd[] {
  const urls = cluster.of('gateway').map(({ url }) => url);
  return urls.map((url) =>
    startCrowd({
      url,
      campaignId: CAMPAIGN.campaignId,
      people: options.people ?? PEOPLE_AT_A_GATEWAY,
      seed: Math.floor(random() * 2 ** 31),
      historyFile,
      thinkMs: options.thinkMs ?? THINK_MS,
      sessionOf: cluster.app.sessionOf,
      everythingTwice: options.everythingTwice ?? false,
      otherUrls: options.peopleMoveOn ? urls.filter((other) => other !== url) : [],
    }),
  );
}

/** Everybody gets the answer that is still owed. */
async function goHome(crowds: readonly Crowd[]): Promise<void> {
  const gone = Promise.all(crowds.map((crowd) => crowd.stop())).then(() => true);
  const late = delay(PATIENCE_MS, false, { ref: false });
  if (!(await Promise.race([gone, late])))
    throw new Error(`people still wait for an answer after ${PATIENCE_MS} ms: ${said(crowds)}`);
}

/** After all of it is credited, paid and owed to nobody, and every slice that ended before is closed. */
async function settledAudit(cluster: Cluster, historyFile: string, resealed: boolean): Promise<AuditReport> {
  const endedBeforeMs = Date.now();
  await untilSettled(cluster, historyFile);
  await until(
    async () => (await unclosedBefore(cluster, endedBeforeMs)) === 0,
    () => 'every slice that has ended is closed',
  );
  await until(
    async () => (await auditOf(cluster, {})).checked.owed === 0,
    () => 'the log has what only the journals had',
  );
  return auditOf(cluster, { historyFile, settled: true, closedBeforeMs: endedBeforeMs, resealed });
}

const unclosedBefore = async (cluster: Cluster, endedBeforeMs: number): Promise<number> => {
  const sql =
    "SELECT count(*)::int AS n FROM allotment.slice WHERE state <> 'closed' AND grant_until_ms < $1";
  return (await rowsOf<{ n: number }>(cluster.servers.control, sql, [endedBeforeMs]))[0]!.n;
};

/** Waits for what must come about, however slow the machine is. A look that fails is a no. */
export async function until(
  holds: () => Promise<boolean>,
  what: () => string,
  withinMs = PATIENCE_MS,
): Promise<void> {
  const lastMs = performance.now() + withinMs;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > lastMs) throw new Error(`it did not come about within ${withinMs} ms: ${what()}`);
    await delay(100);
  }
}

/** The sum over these processes of a counter; those that do not answer count nothing. */
export const counted = async (
  processes: readonly { readonly opsUrl: string }[],
  name: string,
): Promise<number> => {
  const counts = await Promise.all(processes.map((one) => counterOf(one.opsUrl, name)));
  return counts.reduce((sum, count) => sum + count, 0);
};

/** What a fault that failed half-way has left dead or asleep; the next one begins with everything up. */
async function heal(cluster: Cluster): Promise<void> {
  for (const one of everybodyOf(cluster)) {
    one.thaw();
    if (!one.isRunning) await one.restart();
  }
}

/** Every server and every process. */
export function everybodyOf({ servers, processes }: Cluster): readonly ServerNode[] {
  const { redis, nats, shards, control } = servers;
  return [...redis.nodes, ...nats.nodes, ...shards, control, ...processes];
}

function keepLogs(cluster: Cluster, seed: number): string {
  const folder = path.join(tmpdir(), `hongbao-faults-${seed}`);
  mkdirSync(folder, { recursive: true });
  for (const one of everybodyOf(cluster))
    cpSync(path.join(one.folder, 'server.log'), path.join(folder, `${one.name}.log`));
  cpSync(path.join(path.dirname(cluster.keysFolder), 'history.jsonl'), path.join(folder, 'history.jsonl'));
  return folder;
}

function said(crowds: readonly Crowd[]): string {
  return crowds.map(({ refusals }) => JSON.stringify([...refusals])).join(' ');
}

function added(a: CrowdCounts, b: CrowdCounts): CrowdCounts {
  const sum = { ...a };
  for (const name of Object.keys(b) as (keyof CrowdCounts)[]) sum[name] += b[name];
  return sum;
}
