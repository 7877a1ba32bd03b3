import type { Bilingual, CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { Award, AwardState, Awards } from '../../engines/ports.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import { type AwardType, isMoney } from '../../vocabulary/award-type.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, PhaseKey } from '../../vocabulary/ids.ts';
import type { Clock, InstantMs } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import { type OrderNumber, parseOrderNumber } from '../../vocabulary/order-number.ts';

/** A piece as its person sees it. */
export interface AwardLine {
  readonly orderNumber: OrderNumber;
  readonly awardType: AwardType;
  readonly sceneId: string;
  readonly state: AwardState;
  readonly worthFen: Fen;
  readonly drawnAtMs: InstantMs;
  readonly bill: Bilingual;
  readonly voucher?: string;
  readonly usedAtMs?: InstantMs;
}

/** Whose pieces: a person and the ones that were joined to it, in one phase. */
export interface AwardOwner {
  readonly actIds: readonly ActId[];
  readonly phaseKey: PhaseKey;
}

export interface AwardShelf {
  /**
   * Everything but money that this person has, newest first. `promised` are the person's tokens, read before: a piece
   * that is credited between the two looks is taken once, by its order number.
   */
  list(
    owner: AwardOwner,
    campaign: CampaignSnapshot,
    promised: readonly Order[],
  ): Promise<readonly AwardLine[]>;
  /** Marks a piece as used. The same again gives the first answer. Refuses what is not this person's, or not here yet. */
  use(owner: AwardOwner, campaign: CampaignSnapshot, orderNumber: string): Promise<AwardLine | Refusal>;
}

const PIECE_BILL: Bilingual = { zh: '奖励', en: 'Award' };

/** Pieces: credited ones from the ledger, promised ones from tokens, each once. */
export function createAwardShelf(deps: { readonly awards: Awards; readonly clock: Clock }): AwardShelf {
  const credited = async ({ actIds, phaseKey }: AwardOwner): Promise<readonly Award[]> =>
    (await Promise.all(actIds.map((actId) => deps.awards.awards({ actId, phaseKey })))).flat();

  return {
    async list(owner, campaign, promised) {
      const known = await credited(owner);
      const inLedger = new Set(known.map((award) => award.orderNumber));
      const waiting = promised.filter(
        (order) => !isMoney(order.awardType) && !inLedger.has(order.orderNumber),
      );
      return [...known.map(ofAward), ...waiting.map(ofToken)]
        .flatMap((piece) => lineOf(piece, campaign) ?? [])
        .sort(byNewest);
    },
    async use(owner, campaign, text) {
      const parts = parseOrderNumber(text);
      if (!parts || !owner.actIds.includes(parts.actId))
        return refuse('award-unknown', 'it is not in this wallet');
      const account = { actId: parts.actId, phaseKey: owner.phaseKey };
      const used = await deps.awards.useAward(account, text as OrderNumber, deps.clock.now());
      const line = used && lineOf(ofAward(used), campaign);
      if (line) return line;
      const award = await deps.awards.award(account, text as OrderNumber);
      return award
        ? refuse('award-not-ready', `its state is ${award.state}; ask again when it is fulfilled`)
        : refuse('award-unknown', 'it is not in this wallet, or not credited yet');
    },
  };
}

type Piece = Omit<AwardLine, 'awardType' | 'sceneId' | 'bill'>;

const ofAward = (award: Award): Piece => ({
  orderNumber: award.orderNumber,
  state: award.state,
  worthFen: award.worthFen,
  drawnAtMs: award.drawnAtMs,
  ...(award.voucher === undefined ? {} : { voucher: award.voucher }),
  ...(award.usedAtMs === undefined ? {} : { usedAtMs: award.usedAtMs }),
});

const ofToken = (order: Order): Piece => ({
  orderNumber: order.orderNumber,
  state: 'granted',
  worthFen: order.amountFen,
  drawnAtMs: order.drawnAtMs,
});

function lineOf(piece: Piece, campaign: CampaignSnapshot): AwardLine | undefined {
  const parts = parseOrderNumber(piece.orderNumber);
  if (!parts) return undefined;
  const bill = campaign.scenes.get(parts.sceneId)?.bill ?? PIECE_BILL;
  return { ...piece, awardType: parts.awardType, sceneId: parts.sceneId, bill };
}

const byNewest = (a: AwardLine, b: AwardLine): number =>
  b.drawnAtMs - a.drawnAtMs || (a.orderNumber < b.orderNumber ? 1 : -1);
