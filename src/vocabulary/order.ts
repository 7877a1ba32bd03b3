import type { AwardType } from './award-type.ts';
import type { Fen } from './fen.ts';
import type { ActId, AppId, CampaignId, PhaseId, PhaseKey, RainId, SceneId, SliceId } from './ids.ts';
import type { InstantMs } from './instant.ts';
import type { OrderNumber } from './order-number.ts';

/** Which packet of which leased slice pays for an order. The triple is spent at most once (I5). */
export interface SliceUnit {
  readonly sliceId: SliceId;
  /** The lease's generation; an order of an older one is void once its slice is fenced. */
  readonly epoch: number;
  /** Zero-based position in the slice. */
  readonly index: number;
}

/** A win on its way to the ledger: decided, not yet promised. The order number is the format of its own parts. */
export interface Order {
  readonly orderNumber: OrderNumber;
  readonly appId: AppId;
  readonly actId: ActId;
  readonly campaignId: CampaignId;
  readonly phaseId: PhaseId;
  readonly phaseKey: PhaseKey;
  readonly sceneId: SceneId;
  readonly rainId: RainId;
  readonly awardType: AwardType;
  readonly amountFen: Fen;
  /** When the packet was drawn (seed: OpenTime). Chooses the phase and orders the records. */
  readonly drawnAtMs: InstantMs;
  readonly unit: SliceUnit;
  /** The scene that was asked for, when nothing was left of it and its consolation was given instead. */
  readonly insteadOf?: SceneId;
}

/** Whether two orders ask for the very same thing. The same number with other content is a conflict. */
export function sameOrder(a: Order, b: Order): boolean {
  return (
    a.orderNumber === b.orderNumber &&
    a.appId === b.appId &&
    a.campaignId === b.campaignId &&
    a.phaseKey === b.phaseKey &&
    a.amountFen === b.amountFen &&
    a.drawnAtMs === b.drawnAtMs &&
    a.insteadOf === b.insteadOf &&
    a.unit.sliceId === b.unit.sliceId &&
    a.unit.epoch === b.unit.epoch &&
    a.unit.index === b.unit.index
  );
}

/** What names an order: its number is given once in a phase, and two campaigns may have a phase of one name. */
export const orderKey = ({ phaseKey, orderNumber }: Pick<Order, 'phaseKey' | 'orderNumber'>): string =>
  `${phaseKey}/${orderNumber}`;

/** Each order number once, the first of its kind. */
export const eachOnce = <Named extends { readonly orderNumber: OrderNumber }>(
  orders: readonly Named[],
): readonly Named[] => {
  const byNumber = new Map<OrderNumber, Named>();
  for (const order of orders) if (!byNumber.has(order.orderNumber)) byNumber.set(order.orderNumber, order);
  return [...byNumber.values()];
};
