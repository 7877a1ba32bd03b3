import path from 'node:path';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { walletPhaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import { startPayoutSandbox } from '../../engines/embedded/payout-sandbox/index.ts';
import { createHttpPayout } from '../../engines/payout-http/index.ts';
import type { Player } from '../../guard/player.ts';
import type { People } from '../../identity/people.ts';
import { isRefusal, type Refusal } from '../../protocol/failures.ts';
import type { Granter } from '../../stations/3-grant/grant.ts';
import type { Keyring } from '../../stations/4-seal/keyring.ts';
import { createUnsealer } from '../../stations/4-seal/unseal.ts';
import { createAwardShelf } from '../../stations/7-wallet/awards.ts';
import { walletRoutes } from '../../stations/7-wallet/http.ts';
import { takeIn } from '../../stations/7-wallet/tokens.ts';
import { createWallet } from '../../stations/7-wallet/wallet.ts';
import { withdrawRoutes } from '../../stations/8-withdraw/http.ts';
import { createPayer } from '../../stations/8-withdraw/payer.ts';
import { createWithdrawals } from '../../stations/8-withdraw/withdrawals.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { Config } from '../config.ts';
import { random } from '../randomness.ts';
import type { Stores } from '../stores/index.ts';

export interface WalletDeps {
  readonly app: FastifyInstance;
  readonly config: Config;
  readonly stores: Stores;
  readonly keyring: Keyring;
  readonly granter: Granter;
  readonly people: People;
  readonly authenticate: (request: FastifyRequest) => Promise<Player | Refusal>;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly onFatal: (error: unknown) => void;
}

export interface WalletPart {
  readonly payoutUrl: string;
  start(): void;
  stop(): Promise<void>;
}

/** 7-wallet and 8-withdraw, with the payer behind them. */
export async function createWalletPart(deps: WalletDeps): Promise<WalletPart> {
  const { app, config, stores, clock, logger, granter } = deps;
  const { ledger, book } = stores;
  const phoneTokens = {
    book,
    unseal: createUnsealer(deps.keyring).unseal,
    // Through 3-grant: a token of a slice that is closed by now was counted as not given, and must not be promised anew.
    repromise: async (order: Order) => {
      const granted = await granter.grant(order);
      return isRefusal(granted) ? granted : undefined;
    },
    onUnrecorded: () => deps.metrics.unrecordedTokens.inc(),
    logger,
  };
  const shelf = createAwardShelf({ awards: stores.awards, clock });
  const wallet = createWallet({ ...phoneTokens, ledger, shelf, clock });
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
  const payer = createPayer({ ledger, clock, logger, random, onFatal: deps.onFatal, payout });
  const withdrawals = createWithdrawals({
    ledger,
    book,
    clock,
    personNow: (player) => deps.people.personNow(player.actId),
    takeIn: async (player, inForce, tokens) => {
      const phase = walletPhaseAt(inForce, clock.now());
      return phase ? (await takeIn(phoneTokens, player, inForce, phase, tokens)).shown : [];
    },
    onHeld: payer.take,
  });
  const guarded = { authenticate: deps.authenticate, campaign: deps.campaign };
  await app.register(walletRoutes, { ...guarded, wallet });
  await app.register(withdrawRoutes, { ...guarded, withdrawals, nudge: payer.nudge });
  return {
    payoutUrl,
    start: payer.start,
    async stop() {
      await payer.stop();
      await sandbox?.stop();
    },
  };
}
