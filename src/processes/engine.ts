import { timingSafeEqual } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { walletPhaseAt } from '../campaign/lookup.ts';
import type { CampaignSnapshot } from '../campaign/snapshot.ts';
import { createCampaigns } from '../control/campaigns.ts';
import { opsRoutes } from '../control/ops/http.ts';
import { createReclaimer } from '../control/reclaim.ts';
import { startPayoutSandbox } from '../engines/embedded/payout-sandbox/index.ts';
import { createHttpPayout } from '../engines/payout-http/index.ts';
import { demoRoutes, demoSessionKey } from '../guard/demo-sessions.ts';
import { startLoadMeter } from '../guard/load-meter.ts';
import type { Player } from '../guard/player.ts';
import { recent } from '../guard/recent.ts';
import { createMac, createSealbox } from '../guard/sealbox.ts';
import { bearerOf, createCredentialCheck, newSecret, secretHash } from '../guard/secrets.ts';
import { createSessions, type SessionKey } from '../guard/sessions.ts';
import { isRefusal, refuse } from '../protocol/failures.ts';
import { mayAsk, newAllowance, type RequestAllowance } from '../rules/request-allowance.ts';
import { createDealer } from '../stations/1-play/dealer.ts';
import { playRoutes } from '../stations/1-play/http.ts';
import { createPlay } from '../stations/1-play/play.ts';
import { attachPlaySocket } from '../stations/1-play/socket.ts';
import { createGranter } from '../stations/3-grant/grant.ts';
import { grantRoutes } from '../stations/3-grant/http.ts';
import { createUpstreamGranter } from '../stations/3-grant/upstream.ts';
import { openKeyring } from '../stations/4-seal/keyring.ts';
import { createSealingLine, sealedTokenAt } from '../stations/4-seal/sealing-line.ts';
import { createUnsealer } from '../stations/4-seal/unseal.ts';
import { createCreditor } from '../stations/5-credit/creditor.ts';
import { walletRoutes } from '../stations/7-wallet/http.ts';
import { takeIn } from '../stations/7-wallet/tokens.ts';
import { createWallet } from '../stations/7-wallet/wallet.ts';
import { withdrawRoutes } from '../stations/8-withdraw/http.ts';
import { createPayer } from '../stations/8-withdraw/payer.ts';
import { createWithdrawals } from '../stations/8-withdraw/withdrawals.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { type AppId, parseCampaignId, parseSceneId, type SceneId } from '../vocabulary/ids.ts';
import type { Order } from '../vocabulary/order.ts';
import { systemClock as clock } from './clock.ts';
import type { Config } from './config.ts';
import { createApp, describeApi } from './gateway/app.ts';
import { servePage } from './gateway/page.ts';
import { random } from './randomness.ts';
import { openStores, type Stores } from './stores.ts';

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
  readonly payoutUrl: string;
  readonly campaigns: readonly CampaignSnapshot[];
  readonly operatorKey: string;
  /** Printed while nobody is an operator yet. */
  readonly setupToken: string | undefined;
  /** Orderly: nothing new, what is under way is finished, slices go back, everything is closed. */
  stop(): Promise<void>;
}

const RECLAIM_MARGIN_MS = 5_000;
const RECLAIM_EVERY_MS = 2_000;
const DEMO_APP_ID = 1 as AppId;

/** A campaign that does not hold up; the caller prints the report. */
export class CampaignRefused extends Error {
  override readonly name = 'CampaignRefused';
  constructor(
    readonly reason: Exclude<
      Awaited<ReturnType<ReturnType<typeof createCampaigns>['apply']>>,
      { snapshot: unknown }
    >,
  ) {
    super('the campaign was refused');
  }
}

/** Starts the whole engine in one process. When it can't start, nothing of it is left running. */
export async function startEngine(config: Config, options: EngineOptions): Promise<Engine> {
  mkdirSync(config.dataFolder, { recursive: true });
  const stores = await openStores(config, options.logger);
  try {
    return await wire(config, options, stores);
  } catch (error) {
    await stores.close();
    throw error;
  }
}

/** Wiring only. docs/architecture.md follows a packet through it. */
async function wire(config: Config, options: EngineOptions, stores: Stores): Promise<Engine> {
  const { logger, onFatal } = options;
  const keyring = openKeyring(path.join(config.dataFolder, 'keys'), clock);
  const { ledger, allotments, control, log, book } = stores;
  const metrics = createMetrics();
  const onProblem = (kind: string) => metrics.problems.inc({ kind });
  const load = startLoadMeter();

  // Control: campaigns in force.
  const campaigns = createCampaigns(control, allotments);
  await campaigns.load();
  if (options.campaignSource !== undefined) {
    const applied = await campaigns.apply(options.campaignSource);
    if (!('snapshot' in applied)) {
      load.stop();
      throw new CampaignRefused(applied);
    }
  }
  const campaign = (id: string) => campaigns.current.get(id);

  // 3-grant and 4-seal: the promise.
  const line = createSealingLine({
    keyring,
    log,
    onAppended: ({ orders }, sequence) =>
      book.record(orders.map((order, leafIndex) => ({ order, position: { sequence, leafIndex } }))),
  });
  const granter = createGranter({
    book,
    log,
    promise: line.promise,
    sealedTokenAt: (position) => sealedTokenAt(log, position),
    campaign: (order) => campaign(order.campaignId),
  });
  for (const { slice, state } of await allotments.unclosed())
    if (state === 'open') granter.acceptSlice(slice.sliceId);
  const holder = `${process.pid}@${config.dataFolder}`;
  const upstream = createUpstreamGranter({ granter, allotments, holder, clock });

  // 1-play.
  const dealer = createDealer({
    allotments,
    campaigns: () => campaigns.current.values(),
    holder,
    clock,
    logger,
    onLeased: granter.acceptSlice,
  });
  const play = createPlay({
    dealer,
    book,
    clock,
    random,
    tickets: createSealbox(keyring.secrets.ticket, 'hongbao.ticket.v1'),
    claims: createMac(keyring.secrets.claim, 'hongbao.claim.v1'),
    grant: async (order) => {
      const granted = await granter.grant(order);
      if (!isRefusal(granted)) metrics.opens.inc({ replayed: String(granted.replayed) });
      return granted;
    },
    granted: granter.find,
  });

  // 5-credit and the slices' way back.
  const creditor = createCreditor({
    log,
    book,
    ledger,
    clock,
    logger,
    random,
    fences: stores.fences,
    onFatal,
  });
  creditor.setRate(config.creditRate);
  const reclaimer = createReclaimer({
    allotments,
    logs: [log],
    ledger,
    clock,
    logger,
    refuseSlice: granter.refuseSlice,
    marginMs: RECLAIM_MARGIN_MS,
    intervalMs: RECLAIM_EVERY_MS,
    onFatal,
  });

  // 7-wallet and 8-withdraw.
  const phoneTokens = {
    book,
    unseal: createUnsealer(keyring).unseal,
    // Through 3-grant: a token of a slice that is closed by now was counted as not given, and must not be promised anew.
    repromise: async (order: Order) => {
      const granted = await granter.grant(order);
      return isRefusal(granted) ? granted : undefined;
    },
    onUnrecorded: () => metrics.unrecordedTokens.inc(),
    logger,
  };
  const wallet = createWallet({ ...phoneTokens, ledger, clock });
  const sandbox =
    config.payoutUrl === undefined
      ? await startPayoutSandbox({
          port: 0,
          folder: path.join(config.dataFolder, 'payout-sandbox'),
          clock,
          logger,
        })
      : undefined;
  const payoutUrl = config.payoutUrl ?? sandbox!.url;
  const payout = createHttpPayout({
    url: payoutUrl,
    timeoutMs: 3_000,
    ...(config.port > 0 ? { notifyUrl: `http://127.0.0.1:${config.port}/v1/payouts/notifications` } : {}),
  });

  // The gateway.
  const sessionKeys: SessionKey[] = [...config.sessionKeys];
  const demoKey = demoSessionKey(demoApp([...campaigns.current.values()]), keyring.secrets.demoSession);
  if (options.demo) sessionKeys.push(demoKey);
  const sessions = createSessions({
    keys: sessionKeys,
    clock,
    identityKey: keyring.secrets.identity,
    actIdFor: control.actIdFor,
  });
  const authenticate = (request: FastifyRequest) =>
    sessions.authenticate(bearerOf(request.headers.authorization));
  const allowances = recent<Player['actId'], RequestAllowance>(200_000);
  const allow = (player: Player): boolean => {
    const nowMs = clock.monotonicMs();
    const allowance = allowances.get(player.actId) ?? newAllowance(nowMs);
    allowances.set(player.actId, allowance);
    return mayAsk(allowance, nowMs);
  };
  const onShake = (prize: string) => metrics.shakes.inc({ prize });
  let stopping = false;
  const ready = (): { ready: boolean; reason?: string } => {
    const journal = log.health();
    if (stopping) return { ready: false, reason: 'stopping' };
    if (!journal.accepting) return { ready: false, reason: journal.reason! };
    return campaigns.current.size > 0
      ? { ready: true }
      : { ready: false, reason: 'no campaign is in force; apply one' };
  };

  const app = createApp({ logger, onProblem });
  await describeApi(app);
  const guarded = { authenticate, campaign };
  const payer = createPayer({
    ledger,
    clock,
    logger,
    random,
    onFatal,
    payout,
  });
  const withdrawals = createWithdrawals({
    ledger,
    book,
    clock,
    takeIn: async (player, inForce, tokens) => {
      const phase = walletPhaseAt(inForce, clock.now());
      if (phase) await takeIn(phoneTokens, player, inForce, phase, tokens);
    },
    onHeld: payer.take,
  });
  await app.register(playRoutes, { ...guarded, play, clock, throttle: load.throttle, allow, onShake });
  await app.register(grantRoutes, {
    upstream,
    campaign,
    actIdOf: sessions.actIdOf,
    credentialOf: createCredentialCheck((hash) => control.upstreamBySecret(hash), 5_000),
  });
  await app.register(walletRoutes, { ...guarded, wallet });
  await app.register(withdrawRoutes, { ...guarded, withdrawals, nudge: payer.nudge });
  if (options.demo)
    await app.register(demoRoutes, { key: demoKey, secret: keyring.secrets.demoSession, clock });
  app.get('/livez', async () => ({ alive: true }));
  app.get('/readyz', async (_, reply) => reply.code(ready().ready ? 200 : 503).send(ready()));
  app.get('/.well-known/jwks.json', async () => keyring.jwks());
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  servePage(app);

  // Operations, on loopback only.
  const operatorKey = newSecret('hbo');
  const isStoredOperator = createCredentialCheck((hash) => control.operatorByKey(hash), 5_000);
  const setupToken = (await control.operatorCount()) === 0 ? newSecret('hbs') : undefined;
  if (setupToken !== undefined) await control.offerSetupToken(secretHash(setupToken));
  const ops = createApp({ logger, onProblem });
  await ops.register(opsRoutes, {
    ready,
    isOperator: async (secret) =>
      (secret !== undefined && timingSafeEqual(secretHash(secret), secretHash(operatorKey))) ||
      (await isStoredOperator(secret)) !== undefined,
    setUp: async (token, name) => {
      const key = newSecret('hbo');
      return (await control.spendSetupToken(secretHash(token), { name, keyHash: secretHash(key) }))
        ? key
        : undefined;
    },
    creditRate: creditor.rate,
    setCreditRate: creditor.setRate,
    rotateKeys: () => ({ keyId: keyring.rotate().keyId }),
    applyCampaign: async (source) => {
      const applied = await campaigns.apply(source);
      return 'snapshot' in applied ? { id: applied.snapshot.id, version: applied.snapshot.version } : applied;
    },
    addUpstream: async ({ name, campaignId, scenes }) => {
      const inForce = campaign(campaignId);
      const id = parseCampaignId(campaignId);
      if (!inForce || !id) return refuse('campaign-unknown', 'no campaign of this id is in force');
      const unknown = scenes.find((scene) => !inForce.scenes.has(scene as SceneId));
      if (unknown !== undefined)
        return refuse('scene-unknown', `the campaign has no scene ${JSON.stringify(unknown)}`);
      const secret = newSecret('hbu');
      await control.putUpstream(
        { name, campaignId: id, scenes: new Set(scenes.flatMap((scene) => parseSceneId(scene) ?? [])) },
        secretHash(secret),
      );
      return secret;
    },
    status: async () => ({
      ...creditor.status(),
      backlogOrders: await book.outstandingCount(),
      creditsPerSecond: creditor.rate() ?? null,
      connections: socket.connections(),
      throttle: load.throttle(),
      ledger: await ledger.health(),
      journal: log.health(),
      unclosedSlices: (await allotments.unclosed()).length,
    }),
    metricsText: () => metrics.registry.metrics(),
  });
  metrics.watch('hongbao_backlog_orders', 'Promised and not known to be credited', () =>
    book.outstandingCount(),
  );
  metrics.watchCounts(
    'hongbao_credited_orders_total',
    'Orders that crediting is done with, by what became of them',
    'outcome',
    () => creditor.status().outcomes,
  );
  metrics.watch(
    'hongbao_crediting_orders',
    'Orders read from the log and not done with; with the done ones, all that were read',
    () => creditor.status().inHandOrders,
  );
  metrics.watch('hongbao_connections', 'WebSocket connections that are open', () => socket.connections());
  metrics.watch('hongbao_log_records', 'Records in the grant log', () => log.end());
  metrics.watch(
    'hongbao_event_loop_delay_seconds',
    'Event-loop delay, 99th percentile of the last second',
    () => load.loopDelayMsP99() / 1_000,
  );

  const socket = attachPlaySocket(app.server, {
    play,
    clock,
    logger,
    authenticate: sessions.authenticate,
    campaign,
    throttle: load.throttle,
    onShake,
    onProblem,
  });
  await dealer.maintain();
  await app.listen({ port: config.port, host: config.host });
  await ops.listen({ port: config.opsPort, host: '127.0.0.1' });
  const port = (app.server.address() as { port: number }).port;
  const opsPort = (ops.server.address() as { port: number }).port;
  dealer.start();
  creditor.start();
  reclaimer.start();
  payer.start();

  return {
    url: `http://${config.host === '0.0.0.0' ? '127.0.0.1' : config.host}:${port}`,
    opsUrl: `http://127.0.0.1:${opsPort}`,
    port,
    opsPort,
    ledgerUrl: stores.ledgerUrl,
    ledgerName: stores.ledgerName,
    payoutUrl,
    campaigns: [...campaigns.current.values()],
    operatorKey,
    setupToken,
    async stop() {
      stopping = true;
      await socket.close();
      await app.close();
      await line.drain();
      await dealer.stop();
      await upstream.stop();
      await payer.stop();
      await reclaimer.stop();
      await creditor.stop();
      await ops.close();
      await sandbox?.stop();
      load.stop();
      await stores.close();
    },
  };
}

/** Demo sessions are of the first app of the first campaign. */
function demoApp(campaigns: readonly CampaignSnapshot[]): { id: AppId; name: string } {
  const [first] = campaigns[0]?.apps.values() ?? [];
  return first ?? { id: DEMO_APP_ID, name: 'demo' };
}
