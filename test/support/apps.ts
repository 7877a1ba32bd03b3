import { createTokenBook } from '../../src/engines/embedded/token-book.ts';
import type { Awards, ControlStore, Ledger, TokenBook, UpstreamCredential } from '../../src/engines/ports.ts';
import type { Player } from '../../src/guard/player.ts';
import { createPeople, type People } from '../../src/identity/people.ts';
import { createSweeper } from '../../src/identity/sweeper.ts';
import { isRefusal, type Refusal } from '../../src/protocol/failures.ts';
import { encodeToken } from '../../src/protocol/token-codec.ts';
import type { PhoneNumber } from '../../src/rules/phone.ts';
import { createGranter, type Granted } from '../../src/stations/3-grant/grant.ts';
import { createUpstreamGranter, type UpstreamGranter } from '../../src/stations/3-grant/upstream.ts';
import { createAwardShelf } from '../../src/stations/7-wallet/awards.ts';
import { createWallet, type Wallet, type WalletOverview } from '../../src/stations/7-wallet/wallet.ts';
import { createWithdrawals, type Withdrawals } from '../../src/stations/8-withdraw/withdrawals.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { AppId, PhaseKey, RainId, SceneId, SliceId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { TOKEN_STATUS } from '../../src/vocabulary/token-status.ts';
import { testCampaign } from './campaign.ts';
import { NOBODY_KNOWS } from './credited-wins.ts';
import { quiet } from './postgres.ts';
import { testClock } from './rig.ts';

export const PHASE = 3 as PhaseKey;
const CASH = testCampaign.scenes.get('cash' as SceneId)!;
const CREDENTIAL: UpstreamCredential = {
  name: 'apps',
  campaignId: testCampaign.id,
  scenes: new Set([CASH.id]),
};

/** A process with people, grants, wallet and withdrawals of its own, over one book, one log and one ledger. */
export interface AppProcess {
  readonly people: People;
  readonly wallet: Wallet;
  readonly withdrawals: Withdrawals;
  player(app: number, user: string, phone?: PhoneNumber): Promise<Player>;
  grant(player: Player, rain: number): Promise<Granted | Refusal>;
  overview(player: Player): Promise<WalletOverview>;
}

export interface Apps {
  readonly book: TokenBook;
  readonly log: readonly Order[];
  process(): AppProcess;
  /** 5-credit: all of the log, or what stands in it before a place; what was credited before is passed over. */
  credit(orders?: readonly Order[]): Promise<void>;
  /** Sweeps until it finds nothing more. */
  sweep(): Promise<void>;
}

export function createApps(deps: { ledger: Ledger & Awards; control: ControlStore }): Apps {
  const { ledger, control } = deps;
  const clock = testClock();
  const book = createTokenBook();
  const log: Order[] = [];
  let units = 0;
  const promisedAt = (sequence: number) => {
    const order = log[sequence - 1]!;
    return { order, token: encodeToken(order) };
  };
  async function promise(order: Order) {
    log.push(order);
    const { length: sequence } = log;
    await book.record([{ order, position: { sequence, leafIndex: 0 } }]);
    return promisedAt(sequence);
  }

  function process(): AppProcess {
    const people = createPeople({
      store: control,
      identityKey: Buffer.alloc(32, 9),
      logger: quiet,
      monotonicMs: clock.monotonicMs,
      onJoined: () => {},
      onPhone: () => {},
    });
    const granter = createGranter({
      fateOf: async () => 'unknown',
      creditedWins: NOBODY_KNOWS,
      book,
      promise,
      promisedAt: async (_, { sequence }) => promisedAt(sequence),
      campaign: () => testCampaign,
      sliceIsOpen: async () => true,
    });
    const upstream: UpstreamGranter = createUpstreamGranter({
      granter,
      clock,
      slices: {
        putBack() {},
        async take() {
          units += 1;
          return {
            unit: { sliceId: 880_001n as SliceId, epoch: 1, index: units },
            amountFen: BigInt(100 + (units % 50)) as Fen,
            grantUntilMs: instantMs(clock.now() + 60_000),
          };
        },
      },
    });
    const phoneTokens = {
      book,
      unseal: () => {
        throw new Error('no tokens in this test');
      },
      repromise: async () => undefined,
      onUnrecorded: () => {},
      logger: quiet,
    };
    const wallet = createWallet({
      ...phoneTokens,
      ledger,
      clock,
      shelf: createAwardShelf({ awards: ledger, clock }),
    });
    const withdrawals = createWithdrawals({
      ledger,
      book,
      clock,
      personNow: (player) => people.personNow(player.actId),
      takeIn: async () => [],
      onHeld: () => {},
    });
    return {
      people,
      wallet,
      withdrawals,
      async player(app, user, phone) {
        const given = await people.find(app as AppId, user, phone);
        return { appId: app as AppId, ...(await people.person(given)) };
      },
      grant: (player, rain) =>
        upstream.grant(CREDENTIAL, {
          campaign: testCampaign,
          scene: CASH,
          rainId: rain as RainId,
          appId: player.appId,
          person: player,
          amountFen: undefined,
          drawnAtMs: undefined,
        }),
      async overview(player) {
        const shown = await wallet.overview(player, testCampaign, []);
        if (isRefusal(shown)) throw new Error(shown.detail);
        return shown;
      },
    };
  }

  const sweeper = () =>
    createSweeper({
      store: control,
      ledger,
      clock,
      logger: quiet,
      onMoved: () => {},
      onFatal: (error) => {
        throw error;
      },
      pageMax: 500,
    });

  return {
    book,
    log,
    process,
    async credit(orders = log) {
      if (orders.length === 0) return;
      await ledger.credit(orders);
      await book.advance(orders, TOKEN_STATUS.credited);
    },
    async sweep() {
      // Each on its own, past the last page: others may sweep beside it.
      const { sweepPage } = sweeper();
      while ((await sweepPage()) > 0);
    },
  };
}
