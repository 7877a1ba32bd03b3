import { walletPhaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Phase } from '../../campaign/snapshot.ts';
import type { Account, Ledger, TokenBook } from '../../engines/ports.ts';
import { type Promised, promisedToOne } from '../../guard/promised.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import { type Balances, overlayBalances, viewOfAll } from '../../rules/wallet-overlay.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { InstantMs } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';

/** One for each id of the person: what was earned under an alias stays in its account, wherever its money goes. */
export const accountsOf = (person: Person, phaseKey: PhaseKey): readonly Account[] =>
  idsOf(person).map((actId) => ({ actId, phaseKey }));

/** The phase whose wallet is shown. */
export const walletPhase = (campaign: CampaignSnapshot, nowMs: InstantMs): Phase | Refusal =>
  walletPhaseAt(campaign, nowMs) ?? refuse('phase-closed', `campaign ${campaign.id} has not opened yet`);

/**
 * The book is read first, the ledger after it. A token leaves the book only once its credit is committed; so what
 * the first look misses the second one has, and what both have is taken once, by its order number. The other way
 * round, a packet that is credited between the two looks would be seen by neither.
 */
export async function promisedTo(
  book: Pick<TokenBook, 'outstandingOf' | 'isWhole'>,
  accounts: readonly Account[],
): Promise<Promised> {
  const looks = await Promise.all(accounts.map((account) => promisedToOne(book, account)));
  return { orders: looks.flatMap((one) => one.orders), complete: looks.every((one) => one.complete) };
}

/** `tokens` were read before this is called, each order once. */
export async function balancesWith(
  ledger: Pick<Ledger, 'wallet'>,
  accounts: readonly Account[],
  tokens: readonly Order[],
): Promise<Balances> {
  const views = accounts.map((account) => {
    const own = tokens.filter((order) => order.actId === account.actId);
    return ledger.wallet(
      account,
      own.map((order) => order.orderNumber),
    );
  });
  return overlayBalances(viewOfAll(await Promise.all(views)), tokens);
}
