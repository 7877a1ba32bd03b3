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
import { demoRoutes } from '../guard/demo-sessions.ts';
import { bearerOf } from '../guard/secrets.ts';
import { createSessions } from '../guard/sessions.ts';
import type { Announcement } from '../protocol/announcement.ts';
import { openKeyring } from '../stations/4-seal/keyring.ts';
import { createCreditedTotal } from '../stations/9-total/credited.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { createFollowingClock, systemClock } from './clock.ts';
import type { Config } from './config.ts';
import { createApp, describeApi } from './gateway/app.ts';
import { servePage } from './gateway/page.ts';
import { forwardWallet } from './gateway/wallet-proxy.ts';
import { createControl } from './parts/control.ts';
import { createCreditors } from './parts/creditors.ts';
import { demoKeys } from './parts/demo.ts';
import { createFulfilPart } from './parts/fulfil.ts';
import { createGateway } from './parts/gateway.ts';
import { watchGauges } from './parts/gauges.ts';
import { createIdentity } from './parts/identity.ts';
import { createOperations } from './parts/operations.ts';
import { createProblems } from './parts/problems.ts';
import { createPromises } from './parts/promises.ts';
import { readinessOf } from './parts/readiness.ts';
import { createReissuePart } from './parts/reissue.ts';
import { startThrottle } from './parts/throttle.ts';
import { createWalletPart } from './parts/wallet.ts';
import { openClusterStores } from './stores/cluster.ts';
import { openEmbeddedStores } from './stores/embedded.ts';
import type { Stores } from './stores/index.ts';
import { answerWhileWaiting } from './waiting.ts';

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

const WAIT_FOR_CAMPAIGN_MS = 100;

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
  // Alone it waits for nobody.
  const waiting = config.cluster && (await answerWhileWaiting(config));
  let stores: Stores | undefined;
  try {
    stores = config.cluster
      ? await openClusterStores(config, config.cluster, options.logger)
      : await openEmbeddedStores(config, options.logger);
    return await startOn(stores, config, options, async () => waiting?.close());
  } catch (error) {
    await waiting?.close();
    await stores?.close().catch(() => {});
    throw error;
  }
}

async function startOn(
  stores: Stores,
  config: Config,
  options: EngineOptions,
  freePorts: () => Promise<void>,
): Promise<Engine> {
  const { logger, onFatal } = options;
  const { ledger, control, book, allotments } = stores;
  const holder = `${process.pid}@${config.dataFolder}`;
  const has = (role: (typeof config.roles)[number]): boolean => config.roles.includes(role);
  const clock = createFollowingClock(control.nowMs, logger);
  await clock.follow();
  const keyring = openKeyring(config.keysFolder, systemClock);
  const metrics = createMetrics();
  const onProblem = createProblems({
    count: (kind) => metrics.problems.inc({ kind }),
    logger,
    monotonicMs: clock.monotonicMs,
  });
  const throttle = startThrottle(stores.logs);

  // What control announces, put in force as a whole.
  let campaigns: ReadonlyMap<string, CampaignSnapshot> = new Map();
  const campaign = (id: string) => campaigns.get(id);
  const promises = createPromises({ stores, keyring, campaign, clock, metrics });
  const { granter, creditedWins } = promises;
  const creditors = createCreditors({
    stores,
    clock,
    logger,
    metrics,
    promise: promises.again,
    onFatal,
  });
  const creditedTotal = createCreditedTotal({
    ledger,
    totals: stores.totals,
    // One of a cluster is enough: who credits the first bucket.
    asks: () => creditors.owns(0),
    monotonicMs: clock.monotonicMs,
    onBug: (error) => logger.error({ err: error }, 'what was credited could not be added up for the total'),
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
  const demo = demoKeys(campaigns.values(), config.sessionKeys, keyring.secrets.demoSession);
  const sessionKeys = options.demo ? [...config.sessionKeys, ...demo] : config.sessionKeys;
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
        creditedWins,
        sessions,
        people,
        authenticate,
        campaigns: () => campaigns,
        throttle: throttle.level,
        holder,
        clock,
        logger,
        metrics,
        onProblem,
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
      await app.register(demoRoutes, { keys: demo, secret: keyring.secrets.demoSession, clock });
    servePage(app);
  }

  const connections = () => gateway?.connections() ?? 0;
  let stopping = false;
  const ready = () =>
    readinessOf({
      isStopping: stopping,
      servesPlayers: has('gateway') || has('wallet'),
      hasCampaign: campaigns.size > 0,
      stores,
    });
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
    connections: connections(),
    throttle: throttle.level(),
    ledger: await ledger.health(),
    ...(fulfil ? { connectors: fulfil.status(), connectorsFile: fulfil.connectorsFile() } : {}),
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
  watchGauges(metrics, { creditors, connections, book, reader, throttle });

  if (!stores.shared)
    for (const { slice, state } of await allotments.unclosed())
      if (state === 'open') granter.acceptSlice(slice.sliceId);
  await gateway
    ?.prepare()
    .catch((error: Error) => logger.warn({ reason: error.message }, 'nothing is leased yet'));
  await freePorts();
  await app.listen({ port: config.port, host: config.host });
  await ops.listen({ port: config.opsPort, host: config.opsHost });
  const port = portOf(app);
  const opsPort = portOf(ops);
  gateway?.start();
  if (has('creditor')) {
    await creditors.start();
    creditedTotal.start();
  }
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
      await creditedTotal.stop();
      if (has('creditor')) await creditors.stop();
      await ops.close();
      reader.stop();
      throttle.stop();
      await identity.stop();
      clock.stop();
      await stores.close();
    },
  };
}

const portOf = (app: FastifyInstance): number => (app.server.address() as { port: number }).port;
