import path from 'node:path';
import type { Logger } from 'pino';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import { CONCURRENCY_MAX, createHttpConnector, TIMEOUT_MS } from '../../engines/connector-http/index.ts';
import type { ConnectorDraft } from '../../engines/connector-http/schema.ts';
import { sandboxEntry } from '../../engines/embedded/award-sandbox/entry.ts';
import { startAwardSandbox } from '../../engines/embedded/award-sandbox/index.ts';
import { createFulfiller, type Downstream, type Fulfiller } from '../../stations/6-fulfil/fulfiller.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Config } from '../config.ts';
import { type ConnectorsStatus, followConnectors } from '../connectors-in-force.ts';
import { random } from '../randomness.ts';
import type { Stores } from '../stores/index.ts';

export interface FulfilDeps {
  readonly config: Config;
  readonly stores: Stores;
  readonly campaigns: () => Iterable<CampaignSnapshot>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly onFatal: (error: unknown) => void;
}

export interface FulfilPart {
  /** Of the sandbox, when one runs. */
  readonly sandboxUrl: string | undefined;
  start(): void;
  stop(): Promise<void>;
  status: Fulfiller['status'];
  /** The connectors file in force; undefined where a sandbox stands for all, or there is none. */
  connectorsFile(): ConnectorsStatus | undefined;
}

/** 6-fulfil, with the downstreams that operations have configured, or with the sandbox that plays all of them. */
export async function createFulfilPart(deps: FulfilDeps): Promise<FulfilPart> {
  const { config, stores, clock, logger, metrics } = deps;
  const followed =
    typeof config.connectors === 'string'
      ? undefined
      : followConnectors({ file: config.connectors.file, env: process.env, logger });
  const sandbox =
    config.connectors === 'sandbox'
      ? await startAwardSandbox({
          port: 0,
          folder: path.join(config.dataFolder, 'award-sandbox'),
          clock,
          logger,
        })
      : undefined;

  const made = new WeakMap<ConnectorDraft, Downstream>();
  const sandboxEntries = new Map<string, ConnectorDraft>();

  /** The same object until its entry changes: by that 6-fulfil sees that a downstream is another one. */
  function downstream(name: string): Downstream | undefined {
    const entry = sandbox ? ofSandbox(name, sandbox.url) : followed?.entry(name);
    if (!entry) return undefined;
    const known = made.get(entry) ?? downstreamOf(entry, clock);
    made.set(entry, known);
    return known;
  }

  function ofSandbox(name: string, url: string): ConnectorDraft {
    const entry = sandboxEntries.get(name) ?? sandboxEntry(name, url);
    sandboxEntries.set(name, entry);
    return entry;
  }

  const fulfiller = createFulfiller({
    awards: stores.awards,
    downstream,
    campaigns: deps.campaigns,
    clock,
    logger,
    random,
    onFatal: deps.onFatal,
    onAnswer: (connector, answer) => metrics.connectorAnswers.inc({ connector, answer }),
    onSettled: (connector, state) => metrics.awardsSettled.inc({ connector, state }),
  });
  watchBacklog(deps);
  if (followed) watchConnectors(metrics, followed.status);
  return {
    sandboxUrl: sandbox?.url,
    start() {
      followed?.start();
      fulfiller.start();
    },
    status: fulfiller.status,
    connectorsFile: () => followed?.status(),
    async stop() {
      await followed?.stop();
      await fulfiller.stop();
      await sandbox?.stop();
    },
  };
}

const downstreamOf = (entry: ConnectorDraft, clock: Clock): Downstream => ({
  connector: createHttpConnector({
    entry,
    secretOf: (variable) => process.env[variable] ?? '',
    nowMs: clock.now,
  }),
  timeoutMs: entry.timeoutMs ?? TIMEOUT_MS,
  concurrencyMax: entry.concurrencyMax ?? CONCURRENCY_MAX,
  perSecondMax: entry.perSecondMax,
});

function watchConnectors(metrics: Metrics, status: () => ConnectorsStatus): void {
  metrics.watchLabelled(
    'hongbao_connectors_info',
    'The connectors file in force, by the beginning of its SHA-256',
    'version',
    () => ({ [status().version]: 1 }),
  );
  metrics.watch(
    'hongbao_connectors_refused',
    '1 while the connectors file, as it is now, does not hold up, and the one before stays in force',
    () => (status().refused ? 1 : 0),
  );
}

/** One look at the ledger serves the three gauges of a scrape. */
const LOOK_LASTS_MS = 1_000;

function watchBacklog({ stores, clock, metrics }: FulfilDeps): void {
  let look: { readonly atMs: number; readonly found: ReturnType<Stores['awards']['awardsOnTheirWay']> };
  const found = () => {
    const atMs = clock.monotonicMs();
    if (!look || atMs - look.atMs > LOOK_LASTS_MS)
      look = { atMs, found: stores.awards.awardsOnTheirWay(clock.now()) };
    return look.found;
  };
  metrics.watch('hongbao_awards_on_their_way', 'Pieces that are credited and not handed out', () =>
    found().then(
      ({ count }) => count,
      () => Number.NaN,
    ),
  );
  metrics.watch('hongbao_awards_due', 'Of these, those for which somebody should be asked by now', () =>
    found().then(
      ({ due }) => due,
      () => Number.NaN,
    ),
  );
  metrics.watch('hongbao_award_oldest_age_seconds', 'Since the oldest of them was drawn; 0 without any', () =>
    found().then(
      ({ oldestDrawnAtMs }) =>
        oldestDrawnAtMs === undefined ? 0 : Math.max(0, clock.now() - oldestDrawnAtMs) / 1_000,
      () => Number.NaN,
    ),
  );
}
