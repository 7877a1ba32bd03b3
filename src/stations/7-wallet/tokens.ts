import type { Logger } from 'pino';
import type { CampaignSnapshot, Phase } from '../../campaign/snapshot.ts';
import type { TokenBook } from '../../engines/ports.ts';
import type { Player } from '../../guard/player.ts';
import { readWhole, unlessBookIsAway } from '../../guard/weak.ts';
import type { ErrorKind } from '../../protocol/error-kinds.ts';
import { isRefusal, type Refusal, refuse } from '../../protocol/failures.ts';
import { PHONE_TOKEN_CHARS_MAX } from '../../protocol/phone-tokens.ts';
import type { CampaignId, PhaseKey } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';

export interface PhoneTokensDeps {
  readonly book: TokenBook;
  /** Checks form, seal and whose it is; never throws. */
  readonly unseal: (
    bytes: Uint8Array,
    expected: { person: Person; campaignId: CampaignId; phaseKey: PhaseKey },
  ) => Order | Refusal;
  /**
   * Makes the promise of an order again: into the log, and from there into the book. Refuses what can't be promised
   * any more: behind its slice's fence an order would be void, and its packet is somebody else's by now.
   */
  readonly repromise: (order: Order) => Promise<Refusal | undefined>;
  /** Counts; the first one is an alarm. */
  readonly onUnrecorded: () => void;
  readonly logger: Logger;
}

export interface RefusedToken {
  /** Place in the request, from 0. */
  readonly index: number;
  readonly code: ErrorKind;
}

const BASE64URL = /^[A-Za-z0-9_-]+$/;

export interface TakenIn {
  readonly refused: readonly RefusedToken[];
  /** The orders of the tokens that were taken, each once: all there is to show while the book is away. */
  readonly shown: readonly Order[];
}

/**
 * Counts in what only the phone still has; tells which tokens are not taken, each with its reason. A token that we
 * sealed and have no record of means that the log lost something, or that somebody else has our key: it is an alarm,
 * and promised again. Afterwards the server alone knows what the person has, unless its book is away: then the
 * phone's tokens count as they are.
 */
export async function takeIn(
  deps: PhoneTokensDeps,
  player: Player,
  campaign: CampaignSnapshot,
  phase: Phase,
  tokens: readonly string[],
): Promise<TakenIn> {
  if (tokens.length === 0) return { refused: [], shown: [] };
  const expected = { person: player, campaignId: campaign.id, phaseKey: phase.key };
  const known = await unlessBookIsAway(() => winsKnown(deps.book, player, phase.key), undefined);
  const refused: RefusedToken[] = [];
  const shown = new Map<OrderNumber, Order>();
  for (const [index, token] of tokens.entries()) {
    const order = readable(token) ? deps.unseal(Buffer.from(token, 'base64url'), expected) : NOT_A_TOKEN;
    if (isRefusal(order)) {
      refused.push({ index, code: order.refused });
      continue;
    }
    const isNews = known !== undefined && !known.has(order.orderNumber) && !shown.has(order.orderNumber);
    const refusal = isNews ? await promiseAgain(deps, order) : undefined;
    if (refusal) refused.push({ index, code: refusal.refused });
    else if (!shown.has(order.orderNumber)) shown.set(order.orderNumber, order);
  }
  return { refused, shown: [...shown.values()] };
}

/** Undefined while the book may have forgotten some: then a token that it lacks is no news. */
async function winsKnown(
  book: TokenBook,
  person: Person,
  phaseKey: PhaseKey,
): Promise<ReadonlySet<OrderNumber> | undefined> {
  const looks = await Promise.all(
    idsOf(person).map((actId) => readWhole(book, actId, () => book.winsOf(actId, phaseKey))),
  );
  return looks.every(({ isAll }) => isAll)
    ? new Set(looks.flatMap(({ found }) => found.map((win) => win.orderNumber)))
    : undefined;
}

const NOT_A_TOKEN = refuse('token-malformed', 'not a sealed token in base64url');

const readable = (token: string): boolean => token.length <= PHONE_TOKEN_CHARS_MAX && BASE64URL.test(token);

async function promiseAgain(deps: PhoneTokensDeps, order: Order): Promise<Refusal | undefined> {
  deps.onUnrecorded();
  const refusal = await deps.repromise(order);
  deps.logger.warn(
    { sliceId: String(order.unit.sliceId), index: order.unit.index, refused: refusal?.refused },
    'a phone showed a token that we sealed and have no record of',
  );
  return refusal;
}
