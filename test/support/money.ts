import type { FastifyInstance, FastifyRequest, InjectOptions, LightMyRequestResponse } from 'fastify';
import { walletPhaseAt } from '../../src/campaign/lookup.ts';
import type { Withdrawal } from '../../src/engines/ports.ts';
import { createApp } from '../../src/processes/gateway/app.ts';
import { refuse } from '../../src/protocol/failures.ts';
import { openKeyring } from '../../src/stations/4-seal/keyring.ts';
import { sealBatch } from '../../src/stations/4-seal/seal-batch.ts';
import { createUnsealer } from '../../src/stations/4-seal/unseal.ts';
import { createAwardShelf } from '../../src/stations/7-wallet/awards.ts';
import { walletRoutes } from '../../src/stations/7-wallet/http.ts';
import { type PhoneTokensDeps, takeIn } from '../../src/stations/7-wallet/tokens.ts';
import { createWallet, type Wallet, type WalletDeps } from '../../src/stations/7-wallet/wallet.ts';
import { withdrawRoutes } from '../../src/stations/8-withdraw/http.ts';
import {
  createWithdrawals,
  type Withdrawals,
  type WithdrawalsDeps,
} from '../../src/stations/8-withdraw/withdrawals.ts';
import type { WithdrawalId } from '../../src/vocabulary/ids.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { playerOf, testCampaign } from './campaign.ts';
import { quiet } from './postgres.ts';
import type { Promises, Rig, TestClock } from './rig.ts';

/** Wallet and withdrawals over real engines, and the HTTP application in front of them. */
export interface Money {
  readonly wallet: Wallet;
  readonly withdrawals: Withdrawals;
  readonly app: FastifyInstance;
  readonly held: Withdrawal[];
  readonly nudged: WithdrawalId[];
  readonly unrecorded: { count: number };
  /** A token as a phone keeps it, base64url. */
  tokenOf(order: Order): string;
  /** A request of a person; `undefined` has no session. */
  ask(person: number | undefined, request: InjectOptions): Promise<LightMyRequestResponse>;
}

export interface MoneyOptions {
  readonly rig: Rig;
  readonly promises: () => Promises;
  readonly clock: TestClock;
  readonly keys: string;
  readonly onHeld?: (withdrawal: Withdrawal) => void;
  readonly nudge?: (id: WithdrawalId) => boolean;
  readonly repromise?: PhoneTokensDeps['repromise'];
  readonly personNow?: WithdrawalsDeps['personNow'];
}

export async function openMoney(options: MoneyOptions): Promise<Money> {
  const { rig, clock } = options;
  const keyring = openKeyring(options.keys, clock);
  const unrecorded = { count: 0 };
  const held: Withdrawal[] = [];
  const nudged: WithdrawalId[] = [];
  const deps = (): WalletDeps => ({
    book: options.promises().book,
    ledger: rig.ledger,
    shelf: createAwardShelf({ awards: rig.ledger, clock }),
    clock,
    unseal: createUnsealer(keyring).unseal,
    repromise: options.repromise ?? (async (order) => void (await options.promises().promise([order]))),
    onUnrecorded: () => {
      unrecorded.count += 1;
    },
    logger: quiet,
  });
  const wallet = createWallet(deps());
  const withdrawals = createWithdrawals({
    ledger: rig.ledger,
    book: options.promises().book,
    clock,
    personNow: options.personNow ?? (async (player) => player),
    takeIn: async (player, campaign, tokens) => {
      const phase = walletPhaseAt(campaign, clock.now());
      return phase ? (await takeIn(deps(), player, campaign, phase, tokens)).shown : [];
    },
    onHeld: (withdrawal) => {
      held.push(withdrawal);
      options.onHeld?.(withdrawal);
    },
  });
  const app = createApp({ logger: quiet, onProblem: () => {} });
  const guarded = {
    campaign: (id: string) => (id === testCampaign.id ? testCampaign : undefined),
    authenticate: async (request: FastifyRequest) => {
      const { person } = request.headers;
      return person === undefined ? refuse('session-missing', 'no session') : playerOf(Number(person));
    },
  };
  await app.register(walletRoutes, { ...guarded, wallet });
  await app.register(withdrawRoutes, {
    ...guarded,
    withdrawals,
    nudge: (id) => {
      nudged.push(id);
      return options.nudge?.(id) ?? true;
    },
  });
  return {
    wallet,
    withdrawals,
    app,
    held,
    nudged,
    unrecorded,
    tokenOf: (order) => sealBatch([order], keyring.active()).sealedTokens[0]!.toString('base64url'),
    ask: (person, request) =>
      app.inject({
        ...request,
        headers: { ...(person === undefined ? {} : { person: String(person) }), ...request.headers },
      }),
  };
}
