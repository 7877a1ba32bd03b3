import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type AuditReport, auditCluster } from '../../rehearsal/audit/index.ts';
import { type CrowdCounts, startCrowd } from '../../rehearsal/crowd/index.ts';
import { seededRandom } from '../../rehearsal/crowd/random.ts';
import { startMoods } from '../../rehearsal/faults/downstream-moods.ts';
import type { Cluster, RoleProcess } from './index.ts';
import { grantToAll, type UpstreamCounts } from './upstream.ts';

/** Of the people at the first gateway, how many a service grants something. */
const GRANTED_TO = 10;
/** So long a downstream's mood lasts. */
const MOOD_MS = 500;

export interface NightOptions {
  readonly campaignFile: string;
  readonly campaignId: string;
  /** At each gateway. */
  readonly people: number;
  readonly lastsMs: number;
  readonly seed: number;
  readonly thinkMs?: number;
  readonly say: (line: string) => void;
}

export interface NightReport {
  readonly counts: CrowdCounts;
  /** What a service upstream granted meanwhile. */
  readonly upstream: UpstreamCounts;
  readonly refusals: ReadonlyMap<string, number>;
  /** What downstreams answered by what it means, all of them together: they misbehave until the crowd goes home. */
  readonly downstream: ReadonlyMap<string, number>;
  readonly audit: AuditReport;
  /** What people saw, as the auditor read it. */
  readonly historyFile: string;
  /** From the last answer until every promise was in the ledger. */
  readonly drainedMs: number;
}

/**
 * A crowd at every gateway, a service that grants, and downstreams that misbehave; then these behave, and everything is
 * credited, paid and handed out; then the auditor looks at all of it.
 */
export async function playNight(cluster: Cluster, options: NightOptions): Promise<NightReport> {
  const { say } = options;
  const historyFile = path.join(path.dirname(cluster.keysFolder), `history-${options.seed}.jsonl`);
  await cluster.applyCampaign(options.campaignFile);
  say(`campaign ${options.campaignId} is in force at every gateway`);
  const [wallet] = cluster.of('wallet');
  const random = seededRandom(options.seed);
  const moods = await startMoods({ url: downstreamOf(wallet!), random, everyMs: MOOD_MS });
  const crowds = cluster.of('gateway').map(({ url }, at) =>
    startCrowd({
      url,
      campaignId: options.campaignId,
      people: options.people,
      seed: options.seed + at,
      historyFile,
      thinkMs: options.thinkMs ?? 100,
      sessionOf: cluster.app.sessionOf,
    }),
  );
  const [upstream] = await Promise.all([
    grantToAll(cluster, {
      campaignFile: options.campaignFile,
      campaignId: options.campaignId,
      users: Array.from({ length: GRANTED_TO }, (_, at) => `person-${options.seed}-${at}`),
      historyFile,
    }),
    delay(options.lastsMs),
  ]);
  await moods.stop();
  await Promise.all(crowds.map((crowd) => crowd.stop()));
  const counts = crowds.map((crowd) => crowd.counts).reduce(added);
  say(
    `the crowd has gone home: ${counts.won} packets won, ${counts.withdrawn} withdrawals, ${upstream.granted} grants by a service`,
  );
  const startedMs = performance.now();
  await untilSettled(cluster, historyFile);
  const drainedMs = performance.now() - startedMs;
  say(`everything is credited, paid and handed out, ${Math.round(drainedMs)} ms after the last answer`);
  const audit = await auditWithTotals(cluster, { historyFile, settled: true });
  const downstream = await downstreamAnswers(wallet!);
  return { counts, upstream, refusals: refusalsOf(crowds), downstream, audit, drainedMs, historyFile };
}

/** The sandbox that plays all downstreams runs in the wallet's process. */
function downstreamOf({ dataFolder }: RoleProcess): string {
  const runFile = path.join(dataFolder, 'run', 'engine.json');
  const { downstreamUrl } = JSON.parse(readFileSync(runFile, 'utf8')) as { downstreamUrl?: string };
  if (downstreamUrl === undefined) throw new Error(`${runFile} names no downstream`);
  return downstreamUrl;
}

/** By what they mean; as the wallet counts them. */
async function downstreamAnswers({ opsUrl }: RoleProcess): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  const answers = new Map<string, number>();
  for (const [, answer, count] of text.matchAll(
    /^hongbao_connector_answers_total\{[^}]*answer="([^"]+)"[^}]*\} (\d+)$/gm,
  ))
    answers.set(answer!, (answers.get(answer!) ?? 0) + Number(count));
  return answers;
}

/** The auditor's look at a cluster. */
export const auditOf = (
  cluster: Cluster,
  options: {
    historyFile?: string;
    settled?: boolean;
    closedBeforeMs?: number;
    gatewayUrls?: readonly string[];
    resealed?: boolean;
  },
): Promise<AuditReport> =>
  auditCluster({
    dataFolders: [...cluster.of('gateway'), ...cluster.of('wallet')].map(({ dataFolder }) => dataFolder),
    log: {
      connect: { servers: [...cluster.servers.nats.urls] },
      space: 'hongbao',
      buckets: Number(cluster.env.HONGBAO_BUCKETS),
    },
    ledgerUrls: cluster.servers.shards.map(({ url }) => url),
    controlUrl: cluster.servers.control.url,
    keyFile: path.join(cluster.keysFolder, 'keyring.json'),
    ...options,
  });

const TOTALS_WITHIN_MS = 60_000;

/** The same, and of what every gateway shows as given, which may be a moment behind. */
export async function auditWithTotals(
  cluster: Cluster,
  options: { historyFile?: string; settled?: boolean; resealed?: boolean },
): Promise<AuditReport> {
  const gatewayUrls = cluster.of('gateway').map(({ url }) => url);
  const lastMs = performance.now() + TOTALS_WITHIN_MS;
  for (;;) {
    const report = await auditOf(cluster, { ...options, gatewayUrls });
    const isBehind = report.findings.some(({ what }) => what.startsWith('the total on the screen'));
    if (!isBehind || performance.now() > lastMs) return report;
    await delay(500);
  }
}

const SETTLED_WITHIN_MS = 180_000;

/** Resolves once every promise is in the ledger, every withdrawal has ended, and every piece was handed out. */
export async function untilSettled(cluster: Cluster, historyFile?: string): Promise<void> {
  const lastMs = performance.now() + SETTLED_WITHIN_MS;
  const history = historyFile === undefined ? {} : { historyFile };
  for (;;) {
    // A server that has just come back may not answer a look yet.
    const unsettled = await whatIsUnsettled(cluster, history).catch((error: Error) => error.message);
    if (unsettled === undefined) return;
    if (performance.now() > lastMs) throw new Error(`after ${SETTLED_WITHIN_MS} ms: ${unsettled}`);
    await delay(500);
  }
}

async function whatIsUnsettled(
  cluster: Cluster,
  history: { historyFile?: string },
): Promise<string | undefined> {
  const { checked } = await auditOf(cluster, history);
  const unpaid = await countInShards(cluster, UNPAID);
  const onTheirWay = await countInShards(cluster, ON_THEIR_WAY);
  if (checked.outstanding === 0 && unpaid === 0 && onTheirWay === 0) return undefined;
  return `${checked.outstanding} promises, ${unpaid} withdrawals and ${onTheirWay} pieces are not settled`;
}

const UNPAID = "SELECT count(*)::int AS n FROM ledger.withdrawal WHERE state IN ('held', 'paying')";
const ON_THEIR_WAY = "SELECT count(*)::int AS n FROM ledger.award WHERE state IN ('granted', 'asking')";

async function countInShards(cluster: Cluster, sql: string): Promise<number> {
  const counts = await Promise.all(
    cluster.servers.shards.map(async ({ url }) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        return (await client.query<{ n: number }>(sql)).rows[0]!.n;
      } finally {
        await client.end();
      }
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

function added(a: CrowdCounts, b: CrowdCounts): CrowdCounts {
  const sum = { ...a };
  for (const name of Object.keys(b) as (keyof CrowdCounts)[]) sum[name] += b[name];
  return sum;
}

function refusalsOf(
  crowds: readonly { readonly refusals: ReadonlyMap<string, number> }[],
): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { refusals } of crowds)
    for (const [code, count] of refusals) sums.set(code, (sums.get(code) ?? 0) + count);
  return sums;
}
