import type { Logger } from 'pino';
import type { CampaignSnapshot, Phase } from '../../campaign/snapshot.ts';
import type { TokenBook } from '../../engines/ports.ts';
import type { Player } from '../../guard/player.ts';
import type { ErrorKind } from '../../protocol/error-kinds.ts';
import { isRefusal, type Refusal } from '../../protocol/failures.ts';
import type { ActId, CampaignId, PhaseKey } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';

export const PHONE_TOKENS_MAX = 200;

export interface PhoneTokensDeps {
  readonly book: TokenBook;
  readonly unseal: (
    bytes: Uint8Array,
    expected: { actId: ActId; campaignId: CampaignId; phaseKey: PhaseKey },
  ) => Order | Refusal;
  /** Makes the promise of an order again: into the log, and from there into the book. */
  readonly repromise: (order: Order) => Promise<void>;
  readonly onUnrecorded: () => void;
  readonly logger: Logger;
}

export interface RefusedToken {
  readonly index: number;
  readonly code: ErrorKind;
}

/**
 * Counts in what only the phone still has. A token that we sealed and have no record of means that the log lost
 * something, or that somebody else has our key: it is honoured, appended to the log again, and an alarm.
 */
export async function takeIn(
  deps: PhoneTokensDeps,
  player: Player,
  campaign: CampaignSnapshot,
  phase: Phase,
  tokens: readonly string[],
): Promise<RefusedToken[]> {
  const refused: RefusedToken[] = [];
  if (tokens.length === 0) return refused;
  const wins = await deps.book.winsOf(player.actId, phase.key);
  const known = new Set(wins.map((win) => win.orderNumber));
  for (const [index, token] of tokens.entries()) {
    const expected = { actId: player.actId, campaignId: campaign.id, phaseKey: phase.key };
    const order = deps.unseal(Buffer.from(token, 'base64url'), expected);
    if (isRefusal(order)) refused.push({ index, code: order.refused });
    else if (!known.has(order.orderNumber)) {
      deps.onUnrecorded();
      deps.logger.warn(
        { keyed: order.unit.sliceId.toString() },
        'a phone showed a token that we sealed and have no record of',
      );
      await deps.repromise(order);
      known.add(order.orderNumber);
    }
  }
  return refused;
}
