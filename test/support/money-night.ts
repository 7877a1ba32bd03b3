import { afterAll, beforeAll, beforeEach } from 'vitest';
import { isRefusal } from '../../src/protocol/failures.ts';
import type { Creditor } from '../../src/stations/5-credit/creditor.ts';
import type { WalletOverview } from '../../src/stations/7-wallet/wallet.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { playerOf, testCampaign } from './campaign.ts';
import { type Money, type MoneyOptions, openMoney } from './money.ts';
import { anOrder, type OrderShape } from './orders.ts';
import { type Promises, type Rig, startRig, type TestClock, testClock } from './rig.ts';
import { creditAll, creditorOver } from './stations.ts';

/** When tests of wallet and withdrawals take place, in ms. */
export const NIGHT_MS = 1_800_000_000_000;

/** What tests of wallet and withdrawals stand on; of this test, but for the rig. */
export interface MoneyNight {
  readonly rig: Rig;
  readonly clock: TestClock;
  /** How many tests there were, for names of their own. */
  readonly tests: number;
  promises: Promises;
  money: Money;
  /** Somebody whom no test had before; `anOrder` and `playerOf` take it. */
  person: number;
  /** Wallet and withdrawals anew, with something in them replaced. */
  reopen(more?: Partial<MoneyOptions>): Promise<void>;
  /** A packet of 1.00 yuan and `rain` fen for this person, drawn `rain` ms into the night. */
  orderOf(rain: number, more?: Partial<OrderShape>): Order;
  /** What this person's wallet shows, or another's. */
  overview(tokens?: readonly string[], person?: number): Promise<WalletOverview>;
  creditor(): Creditor;
  creditAll(): ReturnType<typeof creditAll>;
}

/** One rig for the file; for each test a journal, somebody new, and wallet and withdrawals at `NIGHT_MS`. */
export function moneyNight(name: string): MoneyNight {
  let rig: Rig;
  let tests = 0;
  const clock = testClock(NIGHT_MS);
  const night = {
    clock,
    person: 0,
    get rig() {
      return rig;
    },
    get tests() {
      return tests;
    },
    async reopen(more = {}) {
      const promises = () => night.promises;
      night.money = await openMoney({ rig, promises, clock, keys: rig.folder('keys'), ...more });
    },
    orderOf: (rain, more = {}) =>
      anOrder({ person: night.person, rain, atMs: NIGHT_MS + rain, fen: 100 + rain, ...more }),
    async overview(tokens = [], person = night.person) {
      const answer = await night.money.wallet.overview(playerOf(person), testCampaign, tokens);
      if (isRefusal(answer)) throw new Error(answer.detail);
      return answer;
    },
    creditor: () => creditorOver(night.promises, rig.ledger, clock),
    creditAll: () => creditAll(night.promises, rig.ledger, clock),
  } as MoneyNight;
  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    tests += 1;
    night.person += 1;
    clock.set(NIGHT_MS);
    const promises = await rig.journal(`${name}-${tests}`);
    night.promises = promises;
    await night.reopen();
    return () => promises.log.close();
  });
  return night;
}
