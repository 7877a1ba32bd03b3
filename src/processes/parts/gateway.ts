import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { CreditedWins } from '../../guard/credited-wins.ts';
import type { Player } from '../../guard/player.ts';
import { recent } from '../../guard/recent.ts';
import { createMac, createSealbox } from '../../guard/sealbox.ts';
import { createCredentialCheck } from '../../guard/secrets.ts';
import type { Sessions } from '../../guard/sessions.ts';
import { identityRoutes } from '../../identity/http.ts';
import type { People } from '../../identity/people.ts';
import type { ErrorKind } from '../../protocol/error-kinds.ts';
import { isRefusal, type Refusal } from '../../protocol/failures.ts';
import { mayAsk, newAllowance, type RequestAllowance } from '../../rules/request-allowance.ts';
import type { ThrottleLevel } from '../../rules/throttle.ts';
import { createDealer } from '../../stations/1-play/dealer.ts';
import { playRoutes } from '../../stations/1-play/http.ts';
import { createPlay } from '../../stations/1-play/play.ts';
import { attachPlaySocket, type PlaySocket } from '../../stations/1-play/socket.ts';
import type { Granter } from '../../stations/3-grant/grant.ts';
import { grantRoutes } from '../../stations/3-grant/http.ts';
import { createSceneSlices } from '../../stations/3-grant/slices.ts';
import { createStock } from '../../stations/3-grant/stock.ts';
import { stockRoutes } from '../../stations/3-grant/stock-http.ts';
import { createUpstreamGranter } from '../../stations/3-grant/upstream.ts';
import type { Keyring } from '../../stations/4-seal/keyring.ts';
import { totalRoutes } from '../../stations/9-total/http.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import { random } from '../randomness.ts';
import type { Stores } from '../stores/index.ts';

export interface GatewayDeps {
  readonly app: FastifyInstance;
  readonly stores: Stores;
  readonly keyring: Keyring;
  readonly granter: Granter;
  readonly creditedWins: CreditedWins;
  readonly sessions: Sessions;
  readonly people: People;
  readonly authenticate: (request: FastifyRequest) => Promise<Player | Refusal>;
  readonly campaigns: () => ReadonlyMap<string, CampaignSnapshot>;
  readonly throttle: () => ThrottleLevel;
  /** Who leases: names this process and its data folder. */
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly onProblem: (kind: ErrorKind) => void;
}

export interface Gateway {
  /** Leases what is dealt first; faults are left to the loop. */
  prepare(): Promise<void>;
  start(): void;
  connections(): number;
  /** Sends the phones away, with a hint when to come back. */
  closeSockets(): Promise<void>;
  /** Gives every undealt packet back. */
  stop(): Promise<void>;
}

/** 1-play and the grants of services upstream. */
export async function createGateway(deps: GatewayDeps): Promise<Gateway> {
  const { app, stores, keyring, granter, creditedWins, sessions, clock, logger, metrics, throttle } = deps;
  const { allotments, book, control } = stores;
  const campaign = (id: string) => deps.campaigns().get(id);
  const stock = createStock(allotments, clock);
  const dealer = createDealer({
    allotments,
    campaigns: () => deps.campaigns().values(),
    holder: deps.holder,
    clock,
    logger,
    onLeased: granter.acceptSlice,
    isLow: stock.isLow,
  });
  const slices = createSceneSlices({
    granter,
    allotments,
    holder: deps.holder,
    clock,
    logger,
    isLow: stock.isLow,
  });
  const upstream = createUpstreamGranter({ granter, slices, clock });
  const play = createPlay({
    dealer,
    book,
    creditedWins,
    clock,
    random,
    tickets: createSealbox(keyring.secrets.ticket, 'hongbao.ticket.v1'),
    claims: createMac(keyring.secrets.claim, 'hongbao.claim.v1'),
    grant: async (order, leaseUntilMs, person) => {
      const granted = await granter.grant(order, leaseUntilMs, person);
      if (!isRefusal(granted)) metrics.opens.inc({ replayed: String(granted.replayed) });
      return granted;
    },
    granted: granter.recall,
  });
  const credentialOf = createCredentialCheck((hash) => control.upstreamBySecret(hash), 5_000);
  const onShake = (prize: string) => metrics.shakes.inc({ prize });

  await app.register(playRoutes, {
    authenticate: deps.authenticate,
    campaign,
    play,
    clock,
    throttle,
    allow: createAllow(clock),
    onShake,
  });
  await app.register(grantRoutes, {
    upstream,
    campaign,
    personOf: deps.people.personFor,
    isLow: stock.isLow,
    onUnknown: (error) => logger.error({ err: error }, 'a grant could not be answered'),
    credentialOf,
  });
  await app.register(totalRoutes, { totals: stores.totals, campaign, clock });
  await app.register(stockRoutes, { stock, credentialOf, campaign, clock });
  await app.register(identityRoutes, { people: deps.people, campaign, credentialOf });
  const socket: PlaySocket = attachPlaySocket(app.server, {
    play,
    clock,
    logger,
    authenticate: sessions.authenticate,
    current: sessions.current,
    campaign,
    throttle,
    onShake,
    onProblem: deps.onProblem,
  });

  return {
    prepare: () => dealer.maintain(),
    start() {
      dealer.start();
      slices.start();
    },
    connections: socket.connections,
    closeSockets: socket.close,
    async stop() {
      await dealer.stop();
      await slices.stop();
    },
  };
}

const ACCOUNTS_MAX = 200_000;

/** How often one account may ask over HTTP. */
function createAllow(clock: Clock): (player: Player) => boolean {
  const allowances = recent<Player['actId'], RequestAllowance>(ACCOUNTS_MAX);
  return (player) => {
    const nowMs = clock.monotonicMs();
    const allowance = allowances.get(player.actId) ?? newAllowance(nowMs);
    allowances.set(player.actId, allowance);
    return mayAsk(allowance, nowMs);
  };
}
