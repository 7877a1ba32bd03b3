import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { compileAnnounced } from '../campaign/announced.ts';
import type { CampaignSnapshot } from '../campaign/snapshot.ts';
import type { Applied } from '../control/campaigns.ts';
import { opsRoutes, processRoutes } from '../control/ops/http.ts';
import { instanceId } from '../engines/embedded/instance-id.ts';
import { createAnnouncementReader } from '../guard/announcement-reader.ts';
import { createAnnouncementSeal } from '../guard/announcement-seal.ts';
import { demoRoutes, demoSessionKey } from '../guard/demo-sessions.ts';
import { startLoadMeter } from '../guard/load-meter.ts';
import { bearerOf } from '../guard/secrets.ts';
import { createSessions, type SessionKey } from '../guard/sessions.ts';
import type { Announcement } from '../protocol/announcement.ts';
import { THROTTLE_WITHOUT_LOG, type ThrottleLevel } from '../rules/throttle.ts';
import { openKeyring } from '../stations/4-seal/keyring.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import type { AppId } from '../vocabulary/ids.ts';
import { createFollowingClock, systemClock } from './clock.ts';
import type { Config } from './config.ts';
import { createApp, describeApi } from './gateway/app.ts';
import { servePage } from './gateway/page.ts';
import { forwardWallet } from './gateway/wallet-proxy.ts';
import { createControl } from './parts/control.ts';
import { createCreditors } from './parts/creditors.ts';
import { createFulfilPart } from './parts/fulfil.ts';
import { createGateway } from './parts/gateway.ts';
import { createIdentity } from './parts/identity.ts';
import { createOperations } from './parts/operations.ts';
import { createPromises } from './parts/promises.ts';
import { createReissuePart } from './parts/reissue.ts';
import { createWalletPart } from './parts/wallet.ts';
import { openClusterStores } from './stores/cluster.ts';
import { openEmbeddedStores } from './stores/embedded.ts';
import type { Stores } from './stores/index.ts';

export interface EngineOptions {
  readonly demo: boolean;
  /** Put in force at start, as `campaign apply` would. */
  readonly campaignSource?: string;
  readonly logger: Logger;
  /** Something that must not be survived: the caller ends the process. */
  readonly onFatal: (error: unknown) => void;
}

export interface Engine {
  readonly url: string;
  readonly opsUrl: string;
  readonly port: number;
  readonly opsPort: number;
  readonly ledgerUrl: string;
  readonly ledgerName: string;
  readonly payoutUrl: string | undefined;
  /** The sandbox that stands for every downstream, when this process runs one. */
  readonly downstreamUrl: string | undefined;
  readonly campaigns: readonly CampaignSnapshot[];
  /** For this machine's own user; of control only. */
  readonly operatorKey: string | undefined;
  /** Printed while nobody is an operator yet. */
  readonly setupToken: string | undefined;
  /** Orderly: nothing new, what is under way is finished, slices go back, everything is closed. */
  stop(): Promise<void>;
}

const DEMO_APP_ID = 1 as AppId;
const WAIT_FOR_CAMPAIGN_MS = 100;
const LOG_WATCH_MS = 250;

/** A campaign that does not hold up; the caller prints the report. */
export class CampaignRefused extends Error {
  override readonly name = 'CampaignRefused';
  constructor(readonly reason: Exclude<Applied, { readonly id: unknown }>) {
    super('the campaign was refused');
  }
}

/** A process of the engine, with the parts that its role names: wiring only. docs/architecture.md follows a packet. */
export async function startEngine(config: Config, options: EngineOptions): Promise<Engine> {
  mkdirSync(config.dataFolder, { recursive: true });
  const stores = config.cluster
    ? await openClusterStores(config, config.cluster, options.logger)
    : await openEmbeddedStores(config, options.logger);
  try {
    return await startOn(stores, config, options);
  } catch (error) {
    await stores.close().catch(() => {});
    throw error;
  }
}

async function startOn(stores: Stores, config: Config, options: EngineOptions): Promise<Engine> {
  const { logger, onFatal } = options;
  const { ledger, control, book, allotments } = stores;
  const holder = `${process.pid}@${config.dataFolder}`;
  const has = (role: (typeof config.roles)[number]): boolean => config.roles.includes(role);
  const clock = createFollowingClock(control.nowMs, logger);
  await clock.follow();
  const keyring = openKeyring(config.keysFolder, systemClock);
  const metrics = createMetrics();
  const onProblem = (kind: string) => metrics.problems.inc({ kind });
  const load = startLoadMeter();
  // Looked at now and then, not with each shake.
  let isLogDown = false;
  const logWatch = setInterval(() => {
    isLogDown = stores.logs.some((log) => !log.health().accepting);
  }, LOG_WATCH_MS).unref();
  const throttle = (): ThrottleLevel => {
    const level = load.throttle();
    return isLogDown && level.level < THROTTLE_WITHOUT_LOG.level ? THROTTLE_WITHOUT_LOG : level;
  };

  // What control announces, put in force as a whole.
  let campaigns: ReadonlyMap<string, CampaignSnapshot> = new Map();
  const campaign = (id: string) => campaigns.get(id);
  const promises = createPromises({ stores, keyring, campaign, clock, metrics, logger });
  const { granter } = promises;
  const creditors = createCreditors({
    stores,
    clock,
    logger,
    metrics,
    promise: promises.again,
    onFatal,
  });
  const putInForce = (announcement: Announcement): void => {
    campaigns = compileAnnounced(announcement.campaigns, announcement.cues);
    creditors.setRate(announcement.creditsPerSecond ?? undefined);
    stores.setOff(announcement.off);
    keyring.reload();
  };
  const seal = createAnnouncementSeal(keyring.secrets.announcement);
  const reader = createAnnouncementReader({
    ways: stores.ways,
    seal,
    file: path.join(config.dataFolder, 'announcement'),
    apply: putInForce,
    logger,
  });

  const app = createApp({ logger, onProblem });
  await describeApi(app);
  const controlPart = has('control')
    ? await createControl({
        app,
        stores,
        seal,
        internalSecret: keyring.secrets.internal,
        refuseSlice: granter.refuseSlice,
        clock,
        logger,
        onFatal,
      })
    : undefined;

  await reader.start();
  if (controlPart) {
    await controlPart.campaigns.load();
    if (config.creditRate !== undefined)
      await controlPart.announcer.announce(() => ({ creditsPerSecond: config.creditRate! }));
    if (options.campaignSource !== undefined) {
      const applied = await controlPart.campaigns.apply(options.campaignSource);
      if (!('id' in applied)) throw new CampaignRefused(applied);
    }
  }

  // Demo sessions are of the campaign's app: a part of a cluster waits until it knows one.
  while (options.demo && !controlPart && campaigns.size === 0) await delay(WAIT_FOR_CAMPAIGN_MS);
  const sessionKeys: SessionKey[] = [...config.sessionKeys];
  const [firstApp, ...otherApps] = demoApps([...campaigns.values()]);
  const demoKeyOf = (one: DemoApp) => demoSessionKey(one, keyring.secrets.demoSession);
  const isConfigured = ({ name }: DemoApp) => config.sessionKeys.some((key) => key.name === name);
  const unconfigured = otherApps.filter((one) => !isConfigured(one));
  const demoKeys = [demoKeyOf(firstApp), ...unconfigured.map(demoKeyOf)] as const;
  if (options.demo) sessionKeys.push(...demoKeys);
  const identity = createIdentity({
    stores,
    identityKey: keyring.secrets.identity,
    sweeps: has('control'),
    clock,
    logger,
    metrics,
    onFatal,
  });
  const { people } = identity;
  const sessions = createSessions({ keys: sessionKeys, clock, identities: people });
  const authenticate = (request: FastifyRequest) =>
    sessions.authenticate(bearerOf(request.headers.authorization));

  const gateway = has('gateway')
    ? await createGateway({
        app,
        stores,
        keyring,
        granter,
        sessions,
        people,
        authenticate,
        campaigns: () => campaigns,
        throttle,
        holder,
        clock,
        logger,
        metrics,
      })
    : undefined;
  const wallet = has('wallet')
    ? await createWalletPart({
        app,
        config,
        stores,
        keyring,
        granter,
        people,
        authenticate,
        campaign,
        clock,
        logger,
        metrics,
        onFatal,
      })
    : undefined;
  const fulfil = has('wallet')
    ? await createFulfilPart({
        config,
        stores,
        campaigns: () => campaigns.values(),
        clock,
        logger,
        metrics,
        onFatal,
      })
    : undefined;
  if (gateway && !wallet && config.walletUrl !== undefined) await forwardWallet(app, config.walletUrl);
  if (gateway) {
    if (options.demo)
      await app.register(demoRoutes, { keys: demoKeys, secret: keyring.secrets.demoSession, clock });
    servePage(app);
  }

  let stopping = false;
  const ready = (): { ready: boolean; reason?: string } => {
    if (stopping) return { ready: false, reason: 'stopping' };
    const ailing = stores.appendLocally ? undefined : stores.logs.find((log) => !log.health().accepting);
    if ((gateway || wallet) && ailing) return { ready: false, reason: ailing.health().reason! };
    return campaigns.size > 0 || !(gateway || wallet)
      ? { ready: true }
      : { ready: false, reason: 'no campaign is in force; apply one' };
  };
  app.get('/livez', async () => ({ alive: true }));
  app.get('/readyz', async (_, reply) => reply.code(ready().ready ? 200 : 503).send(ready()));
  app.get('/.well-known/jwks.json', async () => keyring.jwks());
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());

  // Operations, on a port of their own.
  const ops = createApp({ logger, onProblem });
  const metricsText = () => metrics.registry.metrics();
  const operating = controlPart
    ? await createOperations({
        control: controlPart,
        store: control,
        keyring,
        campaign,
        campaigns: () => campaigns.values(),
        awards: stores.awards,
        clock,
      })
    : undefined;
  const status = async (): Promise<object> => ({
    roles: config.roles,
    ...creditors.status(),
    backlogOrders: await book.outstandingCount().catch(() => null),
    creditsPerSecond: controlPart?.announcer.current().creditsPerSecond ?? null,
    announcement: reader.current().sequence,
    connections: gateway?.connections() ?? 0,
    throttle: throttle(),
    doubtfulOrders: promises.doubts.open(),
    ledger: await ledger.health(),
    ...(fulfil ? { connectors: fulfil.status() } : {}),
    ...(await stores.status()),
    unclosedSlices: await allotments.unclosed().then(
      (unclosed) => unclosed.length,
      () => null,
    ),
  });
  if (operating) await ops.register(opsRoutes, { ...operating.operations, ready, metricsText, status });
  else await ops.register(processRoutes, { ready, metricsText });
  const reissue = operating
    ? await createReissuePart(ops, {
        stores,
        granter,
        campaigns: () => campaigns,
        identityKey: keyring.secrets.identity,
        operatorOf: operating.operatorOf,
        instance: instanceId(config.dataFolder),
        holder,
        clock,
        logger,
        metrics,
        onFatal,
      })
    : undefined;
  watchGauges();

  if (!stores.shared)
    for (const { slice, state } of await allotments.unclosed())
      if (state === 'open') granter.acceptSlice(slice.sliceId);
  await gateway
    ?.prepare()
    .catch((error: Error) => logger.warn({ reason: error.message }, 'nothing is leased yet'));
  await app.listen({ port: config.port, host: config.host });
  await ops.listen({ port: config.opsPort, host: config.opsHost });
  const port = portOf(app);
  const opsPort = portOf(ops);
  gateway?.start();
  if (has('creditor')) await creditors.start();
  // Last: from here on slices are closed, and none that was closed may be taken for open above.
  controlPart?.start();
  reissue?.start();
  wallet?.start();
  fulfil?.start();
  identity.start();

  return {
    url: `http://${config.host === '0.0.0.0' ? '127.0.0.1' : config.host}:${port}`,
    opsUrl: `http://127.0.0.1:${opsPort}`,
    port,
    opsPort,
    ledgerUrl: stores.ledgerUrl,
    ledgerName: stores.ledgerName,
    payoutUrl: wallet?.payoutUrl,
    downstreamUrl: fulfil?.sandboxUrl,
    campaigns: [...campaigns.values()],
    operatorKey: operating?.operatorKey,
    setupToken: operating?.setupToken,
    async stop() {
      stopping = true;
      await gateway?.closeSockets();
      await app.close();
      await reissue?.stop();
      await promises.drain();
      await gateway?.stop();
      await wallet?.stop();
      await fulfil?.stop();
      await controlPart?.stop();
      if (has('creditor')) await creditors.stop();
      await ops.close();
      reader.stop();
      load.stop();
      clearInterval(logWatch);
      await identity.stop();
      clock.stop();
      await stores.close();
    },
  };

  function watchGauges(): void {
    metrics.watchCounts(
      'hongbao_credited_orders_total',
      'Orders that crediting is done with, by what became of them',
      'outcome',
      () => creditors.status().outcomes,
    );
    metrics.watch(
      'hongbao_crediting_orders',
      'Orders read from the log and not done with; with the done ones, all that were read',
      () => creditors.status().inHandOrders,
    );
    metrics.watch(
      'hongbao_connections',
      'WebSocket connections that are open',
      () => gateway?.connections() ?? 0,
    );
    metrics.watch('hongbao_backlog_orders', 'Promised and not known to be credited', () =>
      book.outstandingCount().catch(() => Number.NaN),
    );
    metrics.watch(
      'hongbao_log_records',
      'Records in the grant log, of the buckets credited here',
      () => creditors.status().end,
    );
    metrics.watch(
      'hongbao_announcement_sequence',
      'What control announced last, as this process knows it',
      () => reader.current().sequence,
    );
    metrics.watch(
      'hongbao_event_loop_delay_seconds',
      'Event-loop delay, 99th percentile of the last second',
      () => load.loopDelayMsP99() / 1_000,
    );
  }
}

const portOf = (app: FastifyInstance): number => (app.server.address() as { port: number }).port;

type DemoApp = { readonly id: AppId; readonly name: string };

/** Demo sessions are of the apps of the first campaign. */
function demoApps(campaigns: readonly CampaignSnapshot[]): readonly [DemoApp, ...DemoApp[]] {
  const [first, ...others] = campaigns[0]?.apps.values() ?? [];
  return [first ?? { id: DEMO_APP_ID, name: 'demo' }, ...others];
}
