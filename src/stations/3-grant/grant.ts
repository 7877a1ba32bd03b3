import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { GrantLog, LogPosition, TokenBook, Win } from '../../engines/ports.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import { capRefusal } from '../../rules/person-caps.ts';
import type { ActId, SliceId } from '../../vocabulary/ids.ts';
import { type Order, sameOrder } from '../../vocabulary/order.ts';
import { createTurns } from './turns.ts';

/** A promise that was kept durable: what the person may be told. */
export interface Granted {
  readonly order: Order;
  /** The SealedToken, the same bytes whenever the same order is asked for again. */
  readonly token: Uint8Array;
  readonly replayed: boolean;
}

export interface GranterDeps {
  readonly book: TokenBook;
  readonly log: GrantLog;
  /** Seals and appends; resolves after the fsync and after the book knows. */
  readonly promise: (order: Order) => Promise<{ readonly position: LogPosition; readonly token: Uint8Array }>;
  /** The sealed token of a logged order, again. */
  readonly sealedTokenAt: (position: LogPosition) => Promise<Uint8Array>;
  readonly campaign: (order: Order) => CampaignSnapshot | undefined;
}

export interface Granter {
  /** Makes the order's promise, or gives the first answer again, or says why not. Refused orders move nothing. */
  grant(order: Order): Promise<Granted | Refusal>;
  /** The first answer to an order number, when there was one. */
  find(order: Pick<Order, 'actId' | 'phaseKey' | 'orderNumber'>): Promise<Granted | undefined>;
  /** Orders of this slice are accepted from now on: it was leased, or was open when the process began. */
  acceptSlice(sliceId: SliceId): void;
  /** From now on no order of this slice is accepted. Resolves when those on their way are in the log, or failed. */
  refuseSlice(sliceId: SliceId): Promise<void>;
}

/**
 * Turns a win into an order, once. A person's grants take turns, so that two requests with one number, or two wins
 * against one cap, can't pass each other; different people never wait for one another.
 */
export function createGranter(deps: GranterDeps): Granter {
  const turns = createTurns<ActId>();
  /** Only these: after a clock that went back, an old ticket may look young, but its slice is not in here. */
  const openSlices = new Set<SliceId>();

  async function find(
    order: Pick<Order, 'actId' | 'phaseKey' | 'orderNumber'>,
  ): Promise<Granted | undefined> {
    const wins = await deps.book.winsOf(order.actId, order.phaseKey);
    const win = wins.find((one) => one.orderNumber === order.orderNumber);
    return win && firstAnswer(deps, win);
  }

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

  async function grantInTurn(order: Order): Promise<Granted | Refusal> {
    const wins = await deps.book.winsOf(order.actId, order.phaseKey);
    const earlier = wins.find((win) => win.orderNumber === order.orderNumber);
    if (earlier) return repeat(await firstAnswer(deps, earlier), order);
    const refusal = !openSlices.has(order.unit.sliceId)
      ? refuse('slice-fenced', `slice ${order.unit.sliceId} is closing; its packets go back to the budget`)
      : overCap(deps, order, wins);
    if (refusal) return refusal;
    const { token } = await underWay(order.unit.sliceId, deps.promise(order));
    return { order, token, replayed: false };
  }

  return {
    grant: (order) => turns.take(order.actId, () => grantInTurn(order)),
    find,
    acceptSlice: (sliceId) => void openSlices.add(sliceId),
    async refuseSlice(sliceId) {
      openSlices.delete(sliceId);
      await Promise.allSettled(onTheirWay.get(sliceId) ?? []);
    },
  };
}

function overCap(deps: GranterDeps, order: Order, wins: readonly Win[]): Refusal | undefined {
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
  return capRefusal({ sceneIds: wins.map((win) => win.sceneId) }, scene, campaign.scenes, campaign.limits);
}

async function firstAnswer(deps: GranterDeps, win: Win): Promise<Granted> {
  const record = await deps.log.at(win.position.sequence);
  if (record.kind !== 'grants') throw new Error(`log record ${win.position.sequence} holds no grants`);
  const order = record.orders[win.position.leafIndex]!;
  return { order, token: await deps.sealedTokenAt(win.position), replayed: true };
}

const repeat = (first: Granted, again: Order): Granted | Refusal =>
  sameOrder(first.order, again)
    ? first
    : refuse('order-conflict', `order ${again.orderNumber} stands in the log with other content`);
