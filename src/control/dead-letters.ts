import { phaseById } from '../campaign/lookup.ts';
import type { CampaignSnapshot } from '../campaign/snapshot.ts';
import type { Award, AwardState, Awards } from '../engines/ports.ts';
import { type Refusal, refuse } from '../protocol/failures.ts';
import type { Clock } from '../vocabulary/instant.ts';
import { type OrderNumber, parseOrderNumber } from '../vocabulary/order-number.ts';

/** What a person looks at and acts on, of the pieces that are not handed out. */
export interface DeadLetters {
  /** No downstream will hand these out, unless somebody replays them. By order number, behind `after`. */
  dead(after: OrderNumber | undefined, limit: number): Promise<readonly Award[]>;
  /** These are asked for again and again: "processing" without end, an answer nobody understands, no connector. */
  stuck(after: OrderNumber | undefined, limit: number): Promise<readonly Award[]>;
  /**
   * Takes a dead letter up again: what became of it is asked before it is asked for anew. `replayed` is false, and
   * nothing was changed, when it is not dead. Refuses what no campaign in force has.
   */
  replay(orderNumber: string): Promise<{ readonly replayed: boolean; readonly state: AwardState } | Refusal>;
}

/** About ten minutes of asking, with the pauses doubling from a second. */
const STUCK_TRIES_MIN = 10;

export function createDeadLetters(deps: {
  readonly awards: Awards;
  readonly campaigns: () => Iterable<CampaignSnapshot>;
  readonly clock: Clock;
}): DeadLetters {
  const { awards, clock } = deps;

  /** An order number is unique in its phase, so two campaigns may have it. */
  async function piecesOf(text: string): Promise<Award[]> {
    const parts = parseOrderNumber(text);
    if (!parts) return [];
    const found: Award[] = [];
    for (const campaign of deps.campaigns()) {
      const phase = phaseById(campaign, parts.stage);
      const account = phase && { actId: parts.actId, phaseKey: phase.key };
      const piece = account && (await awards.award(account, text as OrderNumber));
      if (piece) found.push(piece);
    }
    return found;
  }

  return {
    dead: (after, limit) => awards.deadAwards(after, limit),
    stuck: (after, limit) => awards.stuckAwards(STUCK_TRIES_MIN, after, limit),
    async replay(orderNumber) {
      const pieces = await piecesOf(orderNumber);
      const piece = pieces.find(({ state }) => state === 'dead') ?? pieces[0];
      if (!piece) return refuse('award-unknown', 'no campaign in force has a piece of this order number');
      const replayed =
        piece.state === 'dead' && (await awards.replayAward(piece.account, piece.orderNumber, clock.now()));
      return { replayed, state: replayed ? 'asking' : piece.state };
    },
  };
}
