import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { reportProblems } from '../campaign/report.ts';
import { createLogger } from '../telemetry/logger.ts';
import type { Config } from './config.ts';
import { CampaignRefused, type Engine, startEngine } from './engine.ts';
import { removeRunFile, writeRunFile } from './run-file.ts';

export interface RunOptions {
  readonly demo: boolean;
  readonly campaignFile?: string;
  /** When the port was not asked for by name, a busy one is stepped over. */
  readonly portIsDefault: boolean;
}

const PORTS_TRIED = 20;

/** Runs the engine until a signal ends it. Resolves never; leaves by exit code 0, or 1 when it could not start. */
export async function runEngine(wanted: Config, options: RunOptions): Promise<void> {
  const logger = createLogger(wanted.logLevel);
  const startedAtMs = performance.now();
  const campaignSource =
    options.campaignFile === undefined ? undefined : readCampaignFile(options.campaignFile);
  const config = options.portIsDefault ? await stepOverBusyPorts(wanted) : wanted;
  let engine: Engine | undefined;
  let leaving = false;
  const leave = async (code: number): Promise<void> => {
    if (leaving) return;
    leaving = true;
    removeRunFile(config.dataFolder);
    await engine
      ?.stop()
      .catch((error: unknown) => logger.error({ err: error }, 'the engine did not stop in order'));
    process.exit(code);
  };
  const onFatal = (error: unknown): void => {
    logger.fatal({ err: error }, 'the engine stops: going on could only make it worse');
    process.stderr.write(
      `\n${String(error)}\nThe engine stops here; nothing that was promised is lost. See the log above.\n`,
    );
    // At once: whatever is broken must not write another line.
    process.exit(70);
  };
  process.on('unhandledRejection', onFatal);
  process.on('uncaughtException', onFatal);
  process.on('SIGTERM', () => void leave(0));
  process.on('SIGINT', () => void leave(0));

  try {
    engine = await startEngine(config, {
      demo: options.demo,
      logger,
      onFatal,
      ...(campaignSource === undefined ? {} : { campaignSource }),
    });
  } catch (error) {
    process.stderr.write(`\n${explain(error, config, options.campaignFile)}\n`);
    process.exit(1);
  }
  writeRunFile(config.dataFolder, {
    pid: process.pid,
    port: engine.port,
    opsPort: engine.opsPort,
    operatorKey: engine.operatorKey,
    ledgerUrl: engine.ledgerUrl,
    payoutUrl: engine.payoutUrl,
    downstreamUrl: engine.downstreamUrl,
    demo: options.demo,
    campaign: engine.campaigns[0]?.id ?? '',
  });
  process.stdout.write(banner(engine, config, options, performance.now() - startedAtMs));
}

function readCampaignFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    process.stderr.write(
      `The campaign file ${file} can't be read (${(error as NodeJS.ErrnoException).code}). Give the path of a YAML file, e.g. --campaign examples/gala.yaml\n`,
    );
    return process.exit(1);
  }
}

/** The first pair of free ports from the wanted one on; both are said in the banner. */
async function stepOverBusyPorts(config: Config): Promise<Config> {
  for (let port = config.port; port < config.port + 2 * PORTS_TRIED; port += 2) {
    const opsPort = config.opsPort + port - config.port;
    if ((await isFree(port, config.host)) && (await isFree(opsPort, '127.0.0.1')))
      return { ...config, port, opsPort };
  }
  return config;
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, host, () => probe.close(() => resolve(true)));
  });
}

function explain(error: unknown, config: Config, campaignFile: string | undefined): string {
  if (error instanceof CampaignRefused) {
    const { reason } = error;
    if ('problems' in reason && campaignFile)
      return reportProblems(campaignFile, readFileSync(campaignFile, 'utf8'), reason.problems);
    return `The campaign was refused: ${'detail' in reason ? reason.detail : error.message}. Nothing was changed.`;
  }
  const { code, message, port } = error as NodeJS.ErrnoException & { port?: number };
  if (code === 'EADDRINUSE')
    return `Port ${port} is in use, so the engine did not start. End what uses it, or choose another: HONGBAO_PORT=${(port ?? config.port) + 10} npm start`;
  if (code === 'EACCES' || code === 'EROFS')
    return `The data folder ${config.dataFolder} can't be written (${code}), so no promise could be kept. Choose another with HONGBAO_DATA.`;
  return `The engine did not start. ${message}`;
}

const LOOPBACK = /^(127\.|::1$|localhost$)/;

const PIECES = {
  sandbox: 'sandbox; HONGBAO_CONNECTORS=connectors.yaml uses real downstreams',
  file: 'HONGBAO_CONNECTORS',
  none: 'wait: HONGBAO_CONNECTORS is not set',
} as const;

function banner(engine: Engine, config: Config, options: RunOptions, tookMs: number): string {
  const campaign = engine.campaigns[0];
  const lines = [
    '',
    `  🧧 Hongbao is ready (${(tookMs / 1000).toFixed(1)} s)  红包已就绪`,
    '',
    `  Open        ${engine.url}/`,
    `  Campaign    ${campaign ? `${campaign.title.en} · ${campaign.title.zh}  (${campaign.id}, version ${campaign.version})` : 'none: hongbao campaign apply FILE'}`,
    `  API         ${engine.url}/openapi.json`,
    `  Operations  ${engine.opsUrl}${LOOPBACK.test(config.opsHost) ? '  (this machine only)' : ''}`,
    `  Data        ${config.dataFolder}`,
    `  Ledger      ${engine.ledgerName}${config.ledgerUrls.length === 0 ? '; HONGBAO_LEDGER=postgres://… uses another' : ''}`,
    `  Payout      ${config.payoutUrl === undefined ? 'sandbox; HONGBAO_PAYOUT=https://… uses a real one' : 'HONGBAO_PAYOUT'}`,
    `  Pieces      ${PIECES[typeof config.connectors === 'string' ? config.connectors : 'file']}`,
    ...(engine.setupToken === undefined
      ? []
      : [`  Setup token ${engine.setupToken}  (once: POST ${engine.opsUrl}/ops/v1/setup)`]),
    ...(options.demo
      ? [
          '',
          '  Development mode: anyone on this machine may play under any name. Not for production: use `hongbao serve`.',
        ]
      : []),
    '',
    `  Try         npx hongbao shake --user alice   ·   npx hongbao wallet --user alice`,
    '  Ctrl-C stops everything.',
    '',
  ];
  return `${lines.join('\n')}\n`;
}
