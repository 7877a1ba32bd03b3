import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { CampaignSnapshot, Scene } from '../../src/campaign/snapshot.ts';
import { createTokenBook } from '../../src/engines/embedded/token-book.ts';
import type { TokenBook, UpstreamCredential } from '../../src/engines/ports.ts';
import type { CreditedWins } from '../../src/guard/credited-wins.ts';
import { createApp } from '../../src/processes/gateway/app.ts';
import { RetryableFault, refuse } from '../../src/protocol/failures.ts';
import { encodeToken } from '../../src/protocol/token-codec.ts';
import { createGranter, type Granter } from '../../src/stations/3-grant/grant.ts';
import { grantRoutes } from '../../src/stations/3-grant/http.ts';
import type { SceneSlices } from '../../src/stations/3-grant/slices.ts';
import { createUpstreamGranter, type UpstreamGranter } from '../../src/stations/3-grant/upstream.ts';
import { AWARD_TYPES, type AwardType, isMoney } from '../../src/vocabulary/award-type.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, CampaignId, RainId, SceneId, SliceId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { eachOnce, type Order } from '../../src/vocabulary/order.ts';
import { aloneAs } from '../../src/vocabulary/person.ts';
import { playerOf, testCampaign } from './campaign.ts';
import { quiet } from './postgres.ts';
import { testClock } from './rig.ts';

/** What happens to one promise on its way into the log. */
export type Fate = 'kept' | 'not taken' | 'lost before' | 'lost behind';

/** 3-grant as a process has it, over a log and a stock in memory: a restart forgets everything but these. */
export interface GrantWorld {
  readonly campaign: CampaignSnapshot;
  readonly clock: ReturnType<typeof testClock>;
  /** Every promise that was made, repeats included. */
  readonly log: readonly Order[];
  /** How many are left of a scene; may be set at any time. */
  readonly stock: Map<string, number>;
  book(): TokenBook;
  /** Of the first gateway, or of another one. */
  granter(gateway?: number): Granter;
  upstream(gateway?: number): UpstreamGranter;
  restart(): Promise<void>;
  /** The book answers nothing until it is back. */
  setBookAway(isAway: boolean): void;
  /** While the book can't, the ledger says what was granted: everything that stands in the log. */
  setLedgerVouches(vouches: boolean): void;
}

export const CREDENTIAL: UpstreamCredential = {
  name: 'show',
  campaignId: 'gala' as CampaignId,
  scenes: new Set(
    [...AWARD_TYPES, 'given', 'first', 'second', 'comfort', 'greeting'].map((name) => name as SceneId),
  ),
};

/** A scene of each award type under its type's name, and two that share a consolation. */
function awardCampaign(): CampaignSnapshot {
  const cash = testCampaign.scenes.get('cash' as SceneId)!;
  const scenes: Scene[] = AWARD_TYPES.map((award, at) =>
    sceneOf(cash, award, award, isMoney(award) ? 0 : at),
  );
  const money = (id: string, rule: 'given' | 'split', consolation?: string): Scene => ({
    ...cash,
    id: id as SceneId,
    amount: { rule },
    consolation: consolation as SceneId | undefined,
  });
  scenes.push(money('given', 'given', 'comfort'), money('first', 'split', 'comfort'));
  scenes.push({ ...sceneOf(cash, 'second', 'shop-coupon', 300), consolation: 'comfort' as SceneId });
  scenes.push(sceneOf(cash, 'comfort', 'greeting', 0));
  return { ...testCampaign, scenes: new Map(scenes.map((scene) => [scene.id, scene])) };
}

const sceneOf = (cash: Scene, id: string, award: AwardType, worthFen: number): Scene => ({
  ...cash,
  id: id as SceneId,
  award,
  amount: isMoney(award) ? cash.amount : { rule: 'piece', fen: BigInt(worthFen) as Fen },
  packetCapFen: isMoney(award) ? cash.packetCapFen : (BigInt(worthFen) as Fen),
});

/** One process. */
interface Running {
  readonly book: TokenBook;
  readonly granter: Granter;
  readonly upstream: UpstreamGranter;
}

export interface GrantWorldOptions {
  readonly fate?: (order: Order) => Fate;
  /** What the ledger and control say of an order whose outcome is unknown. */
  readonly fateOf?: (order: Order) => 'credited' | 'void' | 'unknown';
  readonly pause?: (gateway: number) => Promise<void>;
  /** A gateway for each, over one log and one stock; one gateway with a book in memory if there are none. */
  readonly books?: readonly TokenBook[];
}

export function createGrantWorld(options: GrantWorldOptions = {}): GrantWorld {
  const campaign = awardCampaign();
  const clock = testClock();
  const log: Order[] = [];
  const stock = new Map<string, number>([...campaign.scenes.keys()].map((id) => [id, 1_000]));
  const pause = options.pause ?? (async () => void (await nextTurn()));
  const { books = [undefined] } = options;
  let units = 0;
  const sceneOfUnit = new Map<number, string>();
  let isAway = false;
  let ledgerVouches = false;
  let running: readonly Running[];

  const slicesOf = (gateway: number): Pick<SceneSlices, 'take' | 'putBack'> => ({
    putBack({ unit }) {
      const scene = sceneOfUnit.get(unit.index)!;
      stock.set(scene, stock.get(scene)! + 1);
    },
    async take(scene, _, amountFen) {
      await pause(gateway);
      const left = stock.get(scene.id) ?? 0;
      if (left === 0) return refuse('budget-exhausted', `scene ${scene.id} has nothing left`);
      stock.set(scene.id, left - 1);
      units += 1;
      sceneOfUnit.set(units, scene.id);
      const worth = scene.amount.rule === 'piece' ? scene.amount.fen : (BigInt(100 + units) as Fen);
      const unit = { sliceId: 1n as SliceId, epoch: 1, index: units };
      return { unit, amountFen: amountFen ?? worth, grantUntilMs: instantMs(clock.now() + 60_000) };
    },
  });

  /** A book that has what the log has, and may be away. */
  function memoryBook(): TokenBook {
    const memory = createTokenBook();
    void memory.record(log.map((order, at) => ({ order, position: { sequence: at + 1, leafIndex: 0 } })));
    const unless = async <Answer>(act: () => Promise<Answer>): Promise<Answer> => {
      if (isAway) throw new RetryableFault('book-unavailable', 'away, as the test has it', 1);
      return act();
    };
    return {
      ...memory,
      record: async (entries) => (isAway ? [] : memory.record(entries)),
      winsOf: (actId, phaseKey) => unless(() => memory.winsOf(actId, phaseKey)),
      takeTurn: (actId, phaseKey) => unless(() => memory.takeTurn(actId, phaseKey)),
      isWhole: (actId) => unless(() => memory.isWhole(actId)),
    };
  }

  const creditedWins: CreditedWins = {
    async beside(actId, phaseKey, known) {
      if (known.isAll || !ledgerVouches) return known;
      const mine = log.filter((order) => order.actId === actId && order.phaseKey === phaseKey);
      const wins = mine.map((order) => ({ ...order, content: order }));
      return { wins: eachOnce([...known.wins, ...wins]), isAll: true };
    },
  };

  function boot(shared: TokenBook | undefined, gateway: number): Running {
    const book = shared ?? memoryBook();
    const granter = createGranter({
      book,
      creditedWins,
      fateOf: async (order) => options.fateOf?.(order) ?? 'unknown',
      campaign: () => campaign,
      async promise(order) {
        await pause(gateway);
        const fate = options.fate?.(order) ?? 'kept';
        if (fate === 'not taken') throw new RetryableFault('log-unavailable', 'the log is full', 1);
        if (fate === 'lost before') throw new RetryableFault('outcome-unknown', 'no answer', 1);
        log.push(order);
        if (fate === 'lost behind') throw new RetryableFault('outcome-unknown', 'no answer', 1);
        await book.record([{ order, position: { sequence: log.length, leafIndex: 0 } }]);
        return { token: encodeToken(order) };
      },
      promisedAt: async (_, { sequence }) => {
        const order = log[sequence - 1]!;
        return { order, token: encodeToken(order) };
      },
    });
    granter.acceptSlice(1n as SliceId);
    return { book, granter, upstream: createUpstreamGranter({ granter, slices: slicesOf(gateway), clock }) };
  }
  running = books.map(boot);

  return {
    campaign,
    clock,
    log,
    stock,
    book: () => running[0]!.book,
    granter: (gateway = 0) => running[gateway]!.granter,
    upstream: (gateway = 0) => running[gateway]!.upstream,
    async restart() {
      running = books.map(boot);
    },
    setBookAway(away) {
      isAway = away;
    },
    setLedgerVouches(vouches) {
      ledgerVouches = vouches;
    },
  };
}

export const SECRET = 'hbu_test';

/** The grant API of whichever process runs; what is handed in may be changed at any time. */
export async function grantApp(
  world: GrantWorld,
  may: { readonly low?: ReadonlySet<string>; actIdOf?: (user: string) => Promise<ActId> } = {},
): Promise<FastifyInstance> {
  const app = createApp({ logger: quiet, onProblem: () => {} });
  await app.register(grantRoutes, {
    upstream: { grant: (...asked) => world.upstream().grant(...asked) },
    credentialOf: async (secret) => (secret === SECRET ? CREDENTIAL : undefined),
    campaign: (id) => (id === 'gala' ? world.campaign : undefined),
    personOf: async (_, user) =>
      aloneAs((await may.actIdOf?.(user)) ?? (BigInt(`0x${Buffer.from(user).toString('hex')}`) as ActId)),
    isLow: (_, sceneId) => may.low?.has(sceneId) ?? false,
    onUnknown: () => {},
  });
  return app;
}

export interface AskShape {
  readonly person?: number;
  /** Ids that are joined to it. */
  readonly aliases?: readonly number[];
  readonly scene: string;
  readonly rain?: number;
  readonly amountFen?: number;
  readonly drawnAtMs?: number;
}

/** Asks the process that runs now, or one of them. */
export const askOf = (world: GrantWorld, ask: AskShape, gateway = 0) =>
  world.upstream(gateway).grant(CREDENTIAL, {
    campaign: world.campaign,
    scene: world.campaign.scenes.get(ask.scene as SceneId)!,
    rainId: (ask.rain ?? 1) as RainId,
    appId: playerOf(1).appId,
    person: {
      ...playerOf(ask.person ?? 1),
      aliases: (ask.aliases ?? []).map((alias) => playerOf(alias).actId),
    },
    amountFen: ask.amountFen === undefined ? undefined : (BigInt(ask.amountFen) as Fen),
    drawnAtMs: ask.drawnAtMs === undefined ? undefined : instantMs(ask.drawnAtMs),
  });
