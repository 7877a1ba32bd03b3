import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { CreditedOrder, KnownWin, LogPosition, TokenBook, Win } from '../../engines/ports.ts';
import type { CreditedWins } from '../../guard/credited-wins.ts';
import { recent } from '../../guard/recent.ts';
import { type Refusal, RetryableFault, refuse } from '../../protocol/failures.ts';
import { capRefusal } from '../../rules/person-caps.ts';
import type { ActId, PhaseKey, SliceId } from '../../vocabulary/ids.ts';
import { type Order, orderKey, type SliceUnit, sameOrder } from '../../vocabulary/order.ts';
import { aloneAs, type Person } from '../../vocabulary/person.ts';
import { anotherHasIt, createPersonTurns, type HeldTurn } from './person-turns.ts';

/** A promise that was kept durable: what the person may be told. */
export interface Granted {
  readonly order: Order;
  /** The SealedToken, the same bytes whenever the same order is asked for again. */
  readonly token: Uint8Array;
  readonly replayed: boolean;
}

export interface GranterDeps {
  readonly book: Pick<TokenBook, 'takeTurn'>;
  /** Asked what somebody has won while the book can't vouch for it. */
  readonly creditedWins: CreditedWins;
  /** Seals and appends; resolves after the fsync and after the book knows. */
  readonly promise: (order: Order, untilMs?: number) => Promise<{ readonly token: Uint8Array }>;
  /** What was answered at a place of the log, byte for byte. */
  readonly promisedAt: (
    actId: ActId,
    position: LogPosition,
  ) => Promise<{ readonly order: Order; readonly token: Uint8Array }>;
  readonly campaign: (order: Order) => CampaignSnapshot | undefined;
  /** What became of an order that may stand in the log or not; final once its slice is closed. */
  readonly fateOf: (order: Order) => Promise<'credited' | 'void' | 'unknown'>;
  /** Asked instead of this process's own memory where slices are leased and closed by others. */
  readonly sliceIsOpen?: (unit: SliceUnit) => Promise<boolean>;
}

/** What names an order, and says where it stands. */
export type OrderName = Pick<Order, 'actId' | 'phaseKey' | 'orderNumber'>;

/** One person, to whom nobody else grants anything meanwhile; for one promise. */
export interface GrantTurn {
  /** Whether what `find` does not find was never granted; while the book is away nobody may be able to say so. */
  readonly isSure: boolean;
  /**
   * The first answer to an order number of this person and phase, when there was one. Throws
   * `RetryableFault('book-unavailable')` when there was one that can't be repeated now.
   */
  find(order: OrderName): Promise<Granted | undefined>;
  /** As `Granter.grant`. `idempotency-in-flight` when somebody else was granted something after all. */
  grant(order: Order, leaseUntilMs?: number): Promise<Granted | Refusal>;
  /**
   * What became of an order whose outcome was unknown: what was given after all, undefined when nothing was and nothing
   * will be. Throws a `RetryableFault` (`outcome-unknown`) while nobody can say.
   */
  settle(order: Order): Promise<Granted | undefined>;
}

export interface Granter {
  /**
   * Makes the order's promise, or gives the first answer again, or says why not. Refused orders move nothing.
   * `leaseUntilMs`: after it (and a moment) the slice may be closed, and a promise that was held up is "unknown".
   * `person`: who stands behind the order's ActId; caps count what was won under all their ids. Nobody else by default.
   */
  grant(order: Order, leaseUntilMs?: number, person?: Person): Promise<Granted | Refusal>;
  /** Does it while nobody else grants anything to this person; refuses when another gateway does so for too long. */
  inTurn<Result>(
    person: Person,
    phaseKey: PhaseKey,
    act: (turn: GrantTurn) => Promise<Result>,
  ): Promise<Result | Refusal>;
  /**
   * The first answer to an order, when there was one; waits for one that is being made, and gives one to what was
   * credited though its outcome was unknown. Refuses with idempotency-in-flight, or throws a `RetryableFault`
   * (`outcome-unknown`, `book-unavailable`), while nobody can say whether there is one.
   */
  recall(order: Order, person?: Person): Promise<Granted | Refusal | undefined>;
  /** Orders of this slice are accepted from now on: it was leased, or was open when the process began. */
  acceptSlice(sliceId: SliceId): void;
  /** From now on no order of this slice is accepted. Resolves when those on their way are in the log, or failed. */
  refuseSlice(sliceId: SliceId): Promise<void>;
}

const LAST_ANSWERS_MAX = 50_000;
const UNSETTLED_MAX = 50_000;
const ASK_AGAIN_MS = 1_000;
/** Less than control waits between the end of a lease and its fence (RECLAIM_MARGIN_MS). */
const ANSWER_LATE_MS_MAX = 3_000;

/**
 * Turns a win into an order, once. A person's grants take turns (person-turns.ts), so that two requests with one
 * number, or two wins against one cap, can't pass each other; different people never wait for one another.
 */
export function createGranter(deps: GranterDeps): Granter {
  const turns = createPersonTurns(deps.book, deps.creditedWins);
  /** Only these: after a clock that went back, an old ticket may look young, but its slice is not in here. */
  const openSlices = new Set<SliceId>();
  /** The last answers of this process by `orderKey`: all that is known of them while the book is away. */
  const lastAnswers = recent<string, Granted>(LAST_ANSWERS_MAX);

  /** Orders that may stand in the log or not, by `orderKey`: under their numbers nothing else may be promised. */
  const unsettled = recent<string, Order>(UNSETTLED_MAX);

  async function findAmong(wins: readonly KnownWin[], order: OrderName): Promise<Granted | undefined> {
    const win = winNamed(wins, order);
    if (win && 'position' in win) return firstAnswer(order.actId, win);
    const last = lastAnswers.get(orderKey(order));
    if (win && !last) throw notLookedUp(`the answer to order ${order.orderNumber}`);
    return last;
  }

  /** Of an order that is whole in hand: what only the ledger knows can be sealed anew, if it is the very same. */
  async function answered(turn: HeldTurn, order: Order): Promise<Granted | Refusal | undefined> {
    const win = winNamed(turn.wins, order);
    if (!win || 'position' in win || lastAnswers.has(orderKey(order))) {
      const first = await findAmong(turn.wins, order);
      return first && repeat(first, order);
    }
    return isWhat(win.content, order) ? sealAnew(turn, order) : conflict(order);
  }

  /** Promised once more, which the ledger's key makes harmless. */
  async function sealAnew(turn: HeldTurn, order: Order): Promise<Granted> {
    turn.endsWith(order);
    return { ...given(order, (await promise(order, undefined)).token), replayed: true };
  }

  const firstAnswer = async (actId: ActId, win: Win): Promise<Granted> => ({
    ...(await deps.promisedAt(actId, win.position)),
    replayed: true,
  });

  const onTheirWay = new Map<SliceId, Set<Promise<unknown>>>();

  /** Remembers a promise that is being made, so that its slice's fence can be put behind it. */
  function underWay<Result>(sliceId: SliceId, making: Promise<Result>): Promise<Result> {
    const ofSlice = onTheirWay.get(sliceId) ?? new Set();
    onTheirWay.set(sliceId, ofSlice.add(making));
    const done = () => {
      ofSlice.delete(making);
      if (ofSlice.size === 0) onTheirWay.delete(sliceId);
    };
    making.then(done, done);
    return making;
  }

  async function grantInTurn(
    turn: HeldTurn,
    order: Order,
    leaseUntilMs: number | undefined,
  ): Promise<Granted | Refusal> {
    const first = await answered(turn, order);
    if (first) return first;
    const open = unsettled.get(orderKey(order));
    if (open && !sameOrder(open, order))
      return refuse(
        'idempotency-in-flight',
        `nobody knows yet whether order ${order.orderNumber} was granted`,
      );
    const isOpenElsewhere = await deps.sliceIsOpen?.(order.unit);
    if (!turn.lasts()) return (await turn.renew()) ? grantInTurn(turn, order, leaseUntilMs) : anotherHasIt();
    // Our own memory is asked without a pause before the promise: a fence must not slip in between.
    const isOpen = isOpenElsewhere ?? openSlices.has(order.unit.sliceId);
    const refusal = !isOpen
      ? refuse('slice-fenced', `slice ${order.unit.sliceId} is closing; its packets go back to the budget`)
      : overCap(deps, order, turn.wins);
    if (refusal) return refusal;
    const untilMs = leaseUntilMs === undefined ? undefined : leaseUntilMs + ANSWER_LATE_MS_MAX;
    turn.endsWith(order);
    const { token } = await underWay(order.unit.sliceId, promise(order, untilMs));
    return given(order, token);
  }

  /** Of an order whose outcome was unknown: what it was given after all; undefined when it is void. */
  async function settle(turn: HeldTurn, order: Order): Promise<Granted | undefined> {
    const fate = await deps.fateOf(order);
    if (fate === 'unknown')
      throw new RetryableFault(
        'outcome-unknown',
        `nobody knows yet whether order ${order.orderNumber} was granted`,
        ASK_AGAIN_MS,
      );
    if (fate === 'void') {
      unsettled.delete(orderKey(order));
      return undefined;
    }
    // Nobody has its token yet.
    return { ...(await sealAnew(turn, order)), replayed: false };
  }

  function given(order: Order, token: Uint8Array): Granted {
    unsettled.delete(orderKey(order));
    lastAnswers.set(orderKey(order), { order, token, replayed: true });
    turns.remember(order);
    return { order, token, replayed: false };
  }

  async function promise(order: Order, untilMs: number | undefined): Promise<{ readonly token: Uint8Array }> {
    try {
      return await deps.promise(order, untilMs);
    } catch (error) {
      if (isUnknown(error)) unsettled.set(orderKey(order), order);
      throw error;
    }
  }

  return {
    grant(order, leaseUntilMs, person = aloneAs(order.actId)) {
      // Who was not joined yet a moment ago waits under the old id.
      return turns.inTurn(person, order.phaseKey, (turn) => grantInTurn(turn, order, leaseUntilMs));
    },
    inTurn: (person, phaseKey, act) =>
      turns.inTurn(person, phaseKey, (turn) =>
        act({
          get isSure() {
            return turn.isAll;
          },
          find: (order) => findAmong(turn.wins, order),
          grant: (order, leaseUntilMs) => grantInTurn(turn, order, leaseUntilMs),
          settle: (order) => settle(turn, order),
        }),
      ),
    recall: (order, person = aloneAs(order.actId)) =>
      turns.inTurn(person, order.phaseKey, async (turn) => {
        const first = await answered(turn, order);
        if (first) return first;
        const open = unsettled.get(orderKey(order));
        if (open) return settle(turn, open);
        if (!turn.isAll) throw notLookedUp(`whether order ${order.orderNumber} was granted`);
        return undefined;
      }),
    acceptSlice: (sliceId) => void openSlices.add(sliceId),
    async refuseSlice(sliceId) {
      openSlices.delete(sliceId);
      await Promise.allSettled(onTheirWay.get(sliceId) ?? []);
    },
  };
}

/** Nobody knows whether it was done. */
export const isUnknown = (error: unknown): boolean =>
  error instanceof RetryableFault && error.kind === 'outcome-unknown';

function overCap(deps: GranterDeps, order: Order, wins: readonly KnownWin[]): Refusal | undefined {
  const campaign = deps.campaign(order);
  const scene = campaign?.scenes.get(order.sceneId);
  if (!campaign || !scene)
    return refuse('scene-unknown', `campaign ${order.campaignId} has no scene ${order.sceneId}`);
  if (order.amountFen > scene.packetCapFen) {
    return refuse(
      'amount-over-cap',
      `${order.amountFen} fen is over the scene's cap of ${scene.packetCapFen} fen`,
    );
  }
  return capRefusal({ sceneIds: wins.map((win) => win.sceneId) }, scene, campaign);
}

const repeat = (first: Granted, again: Order): Granted | Refusal =>
  sameOrder(first.order, again) ? first : conflict(again);

const conflict = ({ orderNumber }: Order): Refusal =>
  refuse('order-conflict', `order ${orderNumber} was granted with other content`);

const winNamed = (wins: readonly KnownWin[], { orderNumber }: OrderName): KnownWin | undefined =>
  wins.find((one) => one.orderNumber === orderNumber);

const isWhat = (content: CreditedOrder, { amountFen, drawnAtMs, unit }: Order): boolean =>
  content.amountFen === amountFen &&
  content.drawnAtMs === drawnAtMs &&
  content.unit.sliceId === unit.sliceId &&
  content.unit.epoch === unit.epoch &&
  content.unit.index === unit.index;

/** A plain "no" would be a lie to whoever has it already. */
export const notLookedUp = (what: string): RetryableFault =>
  new RetryableFault('book-unavailable', `${what} can’t be looked up now`, ASK_AGAIN_MS);
