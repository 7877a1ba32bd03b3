import { walletPhaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Phase } from '../../campaign/snapshot.ts';
import type { Account, Ledger, TokenBook } from '../../engines/ports.ts';
import { unlessBookIsAway } from '../../guard/weak.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import { type Balances, overlayBalances } from '../../rules/wallet-overlay.ts';
import type { InstantMs } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';

/** What the book has, and whether that is all. */
export interface Promised {
  readonly orders: readonly Order[];
  readonly complete: boolean;
}

const NOTHING_KNOWN: Promised = { orders: [], complete: false };

/** The phase whose wallet is shown. */
export const walletPhase = (campaign: CampaignSnapshot, nowMs: InstantMs): Phase | Refusal =>
  walletPhaseAt(campaign, nowMs) ?? refuse('phase-closed', `campaign ${campaign.id} has not opened yet`);

/**
 * The book is read first, the ledger after it. A token leaves the book only once its credit is committed; so what
 * the first look misses the second one has, and what both have is taken once, by its order number. The other way
 * round, a packet that is credited between the two looks would be seen by neither.
 */
export const promisedTo = (
  book: Pick<TokenBook, 'outstandingOf' | 'isWhole'>,
  account: Account,
): Promise<Promised> =>
  unlessBookIsAway(async () => {
    const entries = await book.outstandingOf(account.actId, account.phaseKey);
    return { orders: entries.map((entry) => entry.order), complete: await book.isWhole(account.actId) };
  }, NOTHING_KNOWN);

/** `tokens` were read before this is called, each order once. */
export async function balancesWith(
  ledger: Pick<Ledger, 'wallet'>,
  account: Account,
  tokens: readonly Order[],
): Promise<Balances> {
  const numbers = tokens.map((order) => order.orderNumber);
  return overlayBalances(await ledger.wallet(account, numbers), tokens);
}
