import type { CampaignSnapshot } from '../src/campaign/snapshot.ts';
import type { Account, Awards, Ledger, SceneStock, TokenBook } from '../src/engines/ports.ts';
import { isUserName } from '../src/guard/sessions.ts';
import { unlessBookIsAway } from '../src/guard/weak.ts';
import { isRefusal, type Refusal, refuse } from '../src/protocol/failures.ts';
import type { Balances } from '../src/rules/wallet-overlay.ts';
import type { Stock } from '../src/stations/3-grant/stock.ts';
import { accountsOf, balancesWith, promisedTo, walletPhase } from '../src/stations/7-wallet/balances.ts';
import { type ActId, type AppId, parseActId, type SceneId } from '../src/vocabulary/ids.ts';
import type { Clock, InstantMs } from '../src/vocabulary/instant.ts';
import type { OrderNumber } from '../src/vocabulary/order-number.ts';
import type { Person } from '../src/vocabulary/person.ts';
import { TOKEN_STATUS } from '../src/vocabulary/token-status.ts';
import { type Cache, createCache } from './cache.ts';

/** Who is asked about: a user of one of the campaign's apps, or an id that the engine gave. */
export type Who = { readonly app: string; readonly user: string } | { readonly actId: bigint };

interface Seen {
  /** When it was looked up, ms since 1970 UTC. */
  readonly asOfMs: InstantMs;
  /** False while the token book can't be asked: what is not credited yet may be missing. */
  readonly complete: boolean;
}
export interface BalanceAnswer extends Balances, Seen {}
export interface IncomeAnswer extends Seen {
  readonly totalIncomeFen: bigint;
}
export interface ReceivedAnswer extends Seen {
  readonly received: boolean;
}
export interface StockAnswer extends Omit<SceneStock, 'sceneId'> {
  readonly asOfMs: InstantMs;
}
export interface ForceCreditAnswer {
  /** Credited here and now. */
  readonly credited: number;
  /** Somebody else was faster. */
  readonly alreadyCredited: number;
  /** Not credited by this: their slice is being counted, or an order of other content stands there. */
  readonly left: readonly OrderNumber[];
  readonly complete: boolean;
}

/** Each refuses an unknown campaign, app or scene with a value, and throws a RetryableFault while a store it needs is away. */
export interface Hongbao {
  /** What the wallet shows: credited and outstanding alike. At most `cacheMs` old. */
  balance(campaignId: string, who: Who): Promise<BalanceAnswer | Refusal>;
  /** All money that the person was ever given in the phase. At most `cacheMs` old. */
  totalIncome(campaignId: string, who: Who): Promise<IncomeAnswer | Refusal>;
  /** Money or a piece, credited or not. A yes is remembered for good, a no for a second. */
  hasReceived(campaignId: string, who: Who): Promise<ReceivedAnswer | Refusal>;
  /** At most a second old; older only while the budgets can't be read: `asOfMs`. */
  remainingStock(campaignId: string, sceneId: string): Promise<StockAnswer | Refusal>;
  /** Credits what the person was promised and is waiting for, as a withdrawal does. Never from memory, and ends it. */
  forceCredit(campaignId: string, who: Who): Promise<ForceCreditAnswer | Refusal>;
}

export interface QueriesDeps {
  readonly ledger: Pick<Ledger, 'wallet' | 'creditUnlogged'>;
  readonly awards: Pick<Awards, 'awards'>;
  readonly book: Pick<TokenBook, 'outstandingOf' | 'winsOf' | 'isWhole' | 'advance'>;
  readonly stock: Pick<Stock, 'read'>;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly personFor: (appId: AppId, user: string) => Promise<Person>;
  /** Whose an id is: it may have been joined to another person's. */
  readonly personOf: (actId: ActId) => Promise<Person>;
  readonly clock: Clock;
  readonly cacheMs: number;
}

const PEOPLE_MAX = 200_000;
const RECEIVED_MAX = 1_000_000;
const NOTHING_YET_MS = 1_000;

/** The queries that every service asks, over the wallet's own rules, with an answer of a moment ago where that will do. */
export function createQueries(deps: QueriesDeps): Hongbao {
  const { ledger, book, clock } = deps;
  const { monotonicMs } = clock;
  const balances: Cache<BalanceAnswer> = createCache({
    entriesMax: PEOPLE_MAX,
    keepMs: () => deps.cacheMs,
    monotonicMs,
  });
  const received: Cache<ReceivedAnswer> = createCache({
    entriesMax: RECEIVED_MAX,
    keepMs: (answer) => (answer.received ? Number.POSITIVE_INFINITY : NOTHING_YET_MS),
    monotonicMs,
  });

  async function accountsOfOne(campaignId: string, who: Who): Promise<readonly Account[] | Refusal> {
    const campaign = deps.campaign(campaignId);
    if (!campaign) return refuse('campaign-unknown', 'no campaign of this id is in force');
    const phase = walletPhase(campaign, clock.now());
    if (isRefusal(phase)) return phase;
    const person = 'actId' in who ? await personOf(who.actId) : await personFor(campaign, who);
    return isRefusal(person) ? person : accountsOf(person, phase.key);
  }

  async function personOf(id: bigint): Promise<Person | Refusal> {
    const actId = parseActId(id);
    return actId ? deps.personOf(actId) : refuse('malformed', 'actId is a positive int64');
  }

  async function personFor(
    campaign: CampaignSnapshot,
    { app, user }: { readonly app: string; readonly user: string },
  ): Promise<Person | Refusal> {
    const known = [...campaign.apps.values()].find((one) => one.name === app);
    if (!known || !isUserName(user))
      return refuse('malformed', 'app is one of the campaign’s, user is 1 to 128 visible characters');
    return deps.personFor(known.id, user);
  }

  async function lookAtBalance(accounts: readonly Account[]): Promise<BalanceAnswer> {
    const asOfMs = clock.now();
    const { orders, complete } = await promisedTo(book, accounts);
    return { ...(await balancesWith(ledger, accounts, orders)), complete, asOfMs };
  }

  /** Under any of the person's ids. */
  async function lookForAnything(accounts: readonly Account[]): Promise<ReceivedAnswer> {
    const looks = await Promise.all(accounts.map(lookForAnythingOf));
    return {
      received: looks.some((one) => one.received),
      complete: looks.every((one) => one.complete),
      asOfMs: looks[0]!.asOfMs,
    };
  }

  async function lookForAnythingOf(account: Account): Promise<ReceivedAnswer> {
    const asOfMs = clock.now();
    const { has, complete } = await unlessBookIsAway(
      async () => ({
        has: (await book.winsOf(account.actId, account.phaseKey)).length > 0,
        complete: await book.isWhole(account.actId),
      }),
      { has: false, complete: false },
    );
    if (has) return { received: true, complete, asOfMs };
    const hasMoney = (await ledger.wallet(account, [])).incomeFen > 0n;
    return { received: hasMoney || (await deps.awards.awards(account)).length > 0, complete, asOfMs };
  }

  const balanceOf = (accounts: readonly Account[]): Promise<BalanceAnswer> =>
    balances.get(keyOf(accounts), () => lookAtBalance(accounts));

  /** Of a person, where there is one. */
  const about =
    <Answer extends object>(act: (accounts: readonly Account[]) => Promise<Answer>) =>
    async (campaignId: string, who: Who): Promise<Answer | Refusal> => {
      const accounts = await accountsOfOne(campaignId, who);
      return isRefusal(accounts) ? accounts : act(accounts);
    };

  return {
    balance: about(balanceOf),
    totalIncome: about(async (accounts) => {
      const { totalIncomeFen, complete, asOfMs } = await balanceOf(accounts);
      return { totalIncomeFen, complete, asOfMs };
    }),
    hasReceived: about((accounts) => received.get(keyOf(accounts), () => lookForAnything(accounts))),
    async remainingStock(campaignId, scene) {
      const campaign = deps.campaign(campaignId);
      if (!campaign) return refuse('campaign-unknown', 'no campaign of this id is in force');
      const phase = walletPhase(campaign, clock.now());
      if (isRefusal(phase)) return phase;
      const { scenes, asOfMs } = await deps.stock.read(phase.key, [scene as SceneId]);
      const found = campaign.scenes.has(scene as SceneId) && scenes.get(scene as SceneId);
      if (!found) return refuse('scene-unknown', 'the campaign has no such scene');
      const { sceneId: _, ...rest } = found;
      return { ...rest, asOfMs };
    },
    forceCredit: about(async (accounts) => {
      const { orders, complete } = await promisedTo(book, accounts);
      if (orders.length === 0) return { credited: 0, alreadyCredited: 0, left: [], complete };
      try {
        const { credited, alreadyCredited, fenced, conflicting } = await ledger.creditUnlogged(orders);
        const left = [...fenced, ...conflicting];
        const done = orders.filter((order) => !left.includes(order.orderNumber));
        await unlessBookIsAway(() => book.advance(done, TOKEN_STATUS.credited), undefined);
        return { credited, alreadyCredited, left, complete };
      } finally {
        balances.drop(keyOf(accounts));
      }
    }),
  };
}

/** A person who was joined with another is looked up anew. */
const keyOf = (accounts: readonly Account[]): string =>
  `${accounts[0]!.phaseKey}/${accounts[0]!.actId}/${accounts.length}`;
