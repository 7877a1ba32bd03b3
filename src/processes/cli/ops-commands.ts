import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { type AuditReport, audit, auditCluster, fileOf } from '../../../rehearsal/audit/index.ts';
import { readCampaign } from '../../campaign/read.ts';
import { reportProblems } from '../../campaign/report.ts';
import { startEmbeddedPostgres } from '../../engines/embedded/postgres/supervisor.ts';
import { parseNatsUrl } from '../../engines/jetstream/connection.ts';
import { SWITCHES, type Switch } from '../../protocol/announcement.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { ClusterConfig } from '../config-cluster.ts';
import { readRunFile } from '../run-file.ts';
import { auditText } from './audit-report.ts';
import { ask, findTarget, type TargetOptions } from './engine-client.ts';
import { shardUrls } from './ledger-commands.ts';
import { CliFailure, EXIT, type Output, print } from './output.ts';

/** A slice is closed within seconds of its last ticket's end, once the backlog is drained. */
const CLOSING_TAKES_MS = 30_000;

export type OpsOptions = TargetOptions & Output;

/** The running engine's operations, with the key that it left for its own user on this machine. */
export function ops(options: OpsOptions): { base: string; bearer: string } {
  const { run } = findTarget(options);
  if (!run)
    throw new CliFailure(
      EXIT.unreachable,
      `No engine runs on ${options.dataFolder}. Start one with \`npm start\`, or name its folder with HONGBAO_DATA.`,
      { code: 'unreachable' },
    );
  if (run.operatorKey === undefined)
    throw new CliFailure(
      EXIT.usage,
      `The process on ${options.dataFolder} has no control part. Ask the one that has: name its folder with HONGBAO_DATA.`,
      { code: 'usage' },
    );
  return { base: `http://127.0.0.1:${run.opsPort}`, bearer: run.operatorKey };
}

function readFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliFailure(EXIT.usage, `${file} can't be read (${(error as NodeJS.ErrnoException).code}).`, {
      code: 'unreadable',
    });
  }
}

export function campaignCheck(file: string, options: Output): void {
  const text = readFile(file);
  const read = readCampaign(text);
  if ('draft' in read) {
    print(options, { ok: true, campaign: read.draft.campaign, problems: [] }, `${file}: no mistakes`);
    return;
  }
  process.exitCode = EXIT.refused;
  print(options, { ok: false, problems: read.problems }, reportProblems(file, text, read.problems).trimEnd());
}

export async function campaignApply(file: string, options: OpsOptions): Promise<void> {
  const text = readFile(file);
  const read = readCampaign(text);
  if ('problems' in read) return campaignCheck(file, options);
  const { base, bearer } = ops(options);
  const applied = await ask(base, '/ops/v1/campaigns', { bearer, raw: text });
  print(
    options,
    { ok: true, ...applied },
    `Campaign ${applied.id}, version ${applied.version}, is in force.`,
  );
}

export async function keysRotate(options: OpsOptions): Promise<void> {
  const { base, bearer } = ops(options);
  const rotated = await ask(base, '/ops/v1/keys/rotate', { bearer, method: 'POST' });
  print(options, rotated, `Key ${rotated.keyId} seals from now on; the one before still verifies.`);
}

export async function creditRate(rate: string | undefined, options: OpsOptions): Promise<void> {
  if (rate !== undefined && rate !== 'off' && !/^(0|[1-9][0-9]{0,6})$/.test(rate)) {
    throw new CliFailure(
      EXIT.usage,
      `"${rate}" is no rate. Write credits a second in plain digits, e.g. 1000, or off for no limit.`,
      { code: 'usage' },
    );
  }
  const { base, bearer } = ops(options);
  const answer = await ask(
    base,
    '/ops/v1/credit-rate',
    rate === undefined
      ? { bearer }
      : { bearer, method: 'PUT', body: { creditsPerSecond: rate === 'off' ? null : Number(rate) } },
  );
  print(
    options,
    answer,
    answer.creditsPerSecond === null
      ? 'Crediting is not limited.'
      : `Crediting is limited to ${answer.creditsPerSecond} a second.`,
  );
}

/** Shows what is switched off, or switches a part. */
export async function switchCommand(
  part: string | undefined,
  state: string | undefined,
  options: OpsOptions,
): Promise<void> {
  if (part !== undefined && (!SWITCHES.includes(part as Switch) || !['on', 'off'].includes(state ?? '')))
    throw new CliFailure(
      EXIT.usage,
      `Write a part (${SWITCHES.join(' or ')}) and on or off, e.g. switch book off.`,
      {
        code: 'usage',
      },
    );
  const { base, bearer } = ops(options);
  const answer = await ask(
    base,
    part === undefined ? '/ops/v1/switches' : `/ops/v1/switches/${part}`,
    part === undefined ? { bearer } : { bearer, method: 'PUT', body: { on: state === 'on' } },
  );
  const off = answer.off as string[];
  print(
    options,
    answer,
    off.length === 0 ? 'Everything is switched on.' : `Switched off: ${off.join(', ')}.`,
  );
}

/** Moves a round of the night. `at` is an ISO time, or "now". */
export async function cueCommand(
  rainId: number,
  flags: { phase: string; at: string },
  nowMs: number,
  options: OpsOptions,
): Promise<void> {
  const startsAtMs = flags.at === 'now' ? nowMs : Date.parse(flags.at);
  if (!Number.isSafeInteger(startsAtMs))
    throw new CliFailure(EXIT.usage, `"${flags.at}" is no time. Write 2027-02-05T20:30:00+08:00, or now.`, {
      code: 'usage',
    });
  const { base, bearer } = ops(options);
  const { campaign } = findTarget(options);
  const answer = await ask(base, '/ops/v1/cues', {
    bearer,
    body: { campaignId: campaign, phaseId: flags.phase, rainId, startsAtMs },
  });
  print(
    options,
    { campaign, rainId, startsAtMs, ...answer },
    `Round ${rainId} begins at ${new Date(startsAtMs).toISOString()}, everywhere.`,
  );
}

export async function upstreamAdd(name: string, scenes: string, options: OpsOptions): Promise<void> {
  const { base, bearer } = ops(options);
  const { campaign } = findTarget(options);
  const answer = await ask(base, '/ops/v1/upstreams', {
    bearer,
    body: { name, campaignId: campaign, scenes: scenes.split(',') },
  });
  print(options, { name, campaign, ...answer }, `Secret of ${name}, shown this once:\n${answer.secret}`);
}

export async function statusCommand(options: OpsOptions): Promise<void> {
  const { base, bearer } = ops(options);
  const status = await ask(base, '/ops/v1/status', { bearer });
  print(options, status, JSON.stringify(status, undefined, 2));
}

/** Runs the independent auditor on a data folder; starts its Postgres for that time when no engine runs. */
export async function auditCommand(
  options: Output & {
    dataFolder: string;
    /** Undefined: in the data folder. */
    keysFolder: string | undefined;
    ledger?: string | undefined;
    history?: string | undefined;
    settled: boolean;
    gatewayUrls: readonly string[];
    statements: readonly string[];
  },
): Promise<void> {
  const { dataFolder } = options;
  if (!existsSync(path.join(dataFolder, 'journal')))
    throw new CliFailure(
      EXIT.usage,
      `${dataFolder} holds no journal. Name the data folder with --data or HONGBAO_DATA.`,
      { code: 'usage' },
    );
  const running = readRunFile(dataFolder);
  const known = options.ledger ?? running?.ledgerUrl;
  if (known === undefined && !existsSync(path.join(dataFolder, 'postgres')))
    throw new CliFailure(
      EXIT.usage,
      `${dataFolder} has no ledger of its own, so its journal can't be held against one. Name the ledger with --ledger or HONGBAO_LEDGER.`,
      { code: 'usage' },
    );
  if (options.history !== undefined && !existsSync(options.history))
    throw new CliFailure(EXIT.usage, `There is no ${options.history} to read what clients saw from.`, {
      code: 'unreadable',
    });
  assertStatements(options.statements);
  const server =
    known === undefined
      ? await startEmbeddedPostgres({
          dataFolder: path.join(dataFolder, 'postgres'),
          logger: createLogger('error'),
        })
      : undefined;
  try {
    const ledgerUrl = known ?? server!.url;
    await assertReachable(ledgerUrl);
    const report = await audit({
      dataFolder,
      ledgerUrl,
      settled: options.settled,
      gatewayUrls: options.gatewayUrls,
      statements: options.statements,
      // An engine that runs has closed by now what ended a while ago; one that does not run closes it when it starts.
      closedBeforeMs: options.settled && running ? systemClock.now() - CLOSING_TAKES_MS : 0,
      ...(options.keysFolder === undefined ? {} : { keysFolder: options.keysFolder }),
      ...(options.history === undefined ? {} : { historyFile: options.history }),
    });
    printAudit(options, report);
  } finally {
    await server?.stop();
  }
}

/** Runs the auditor on a cluster, by its addresses; the folders are those of the processes whose journals lie here. */
export async function auditClusterCommand(
  options: Output & {
    readonly config: Config;
    readonly cluster: ClusterConfig;
    readonly dataFolders: readonly string[];
    readonly history?: string | undefined;
    readonly settled: boolean;
    readonly gatewayUrls: readonly string[];
    readonly statements: readonly string[];
  },
): Promise<void> {
  const { config, cluster } = options;
  assertStatements(options.statements);
  await assertReachable((config.controlDatabaseUrl ?? config.ledgerUrls[0])!);
  const ledgerUrls = await shardUrls(config);
  for (const url of ledgerUrls) await assertReachable(url);
  const report = await auditCluster({
    dataFolders: options.dataFolders,
    log: { connect: parseNatsUrl(cluster.logUrl), space: cluster.space, buckets: cluster.buckets },
    ledgerUrls,
    controlUrl: (config.controlDatabaseUrl ?? config.ledgerUrls[0])!,
    keyFile: path.join(config.keysFolder, 'keyring.json'),
    settled: options.settled,
    gatewayUrls: options.gatewayUrls,
    statements: options.statements,
    ...(options.history === undefined ? {} : { historyFile: options.history }),
  });
  printAudit(options, report);
}

function printAudit(output: Output, report: AuditReport): void {
  print(output, report, auditText(report));
  if (!report.ok) process.exitCode = EXIT.refused;
}

function assertStatements(statements: readonly string[]): void {
  const gone = statements.map((named) => fileOf(named).file).find((file) => !existsSync(file));
  if (gone !== undefined)
    throw new CliFailure(EXIT.usage, `There is no ${gone} to read a statement from.`, { code: 'unreadable' });
}

/** An audit that could not look is neither clean nor a finding. */
async function assertReachable(ledgerUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: ledgerUrl, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (cause) {
    const { host } = new URL(ledgerUrl);
    throw new CliFailure(
      EXIT.unreachable,
      `The ledger at ${host} can't be reached (${(cause as NodeJS.ErrnoException).code ?? 'no answer'}), so nothing was audited. Start it, or name another with --ledger.`,
      { code: 'ledger-unavailable' },
    );
  } finally {
    await client.end().catch(() => {});
  }
}
