import { createHash } from 'node:crypto';
import { walletPhaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { Account, Ledger, TokenBook, Withdrawal } from '../../engines/ports.ts';
import type { Player } from '../../guard/player.ts';
import { promisedToOne } from '../../guard/promised.ts';
import { unlessBookIsAway } from '../../guard/weak.ts';
import { isRefusal, type Refusal, refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, WithdrawalId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import { eachOnce, type Order } from '../../vocabulary/order.ts';
import type { Person } from '../../vocabulary/person.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';
import { newWithdrawalId } from './withdrawal-id.ts';

export interface WithdrawalsDeps {
  readonly ledger: Ledger;
  readonly book: TokenBook;
  readonly clock: Clock;
  /** Who is asking, by control's word of this moment: money of an id that was joined a second ago is theirs to take. */
  readonly personNow: (player: Player) => Promise<Person>;
  /** Counts in what only the phone still has (7-wallet); gives back the orders of the tokens that were taken. */
  readonly takeIn: (
    player: Player,
    campaign: CampaignSnapshot,
    tokens: readonly string[],
  ) => Promise<readonly Order[]>;
  /** Tells the payer that there is something to pay. */
  readonly onHeld: (withdrawal: Withdrawal) => void;
}

export interface WithdrawalAsk {
  readonly amountFen: Fen;
  readonly idempotencyKey: string;
  /** Sealed tokens of the phone, base64url. */
  readonly tokens: readonly string[];
}

export interface Withdrawals {
  /**
   * Holds the amount, or gives the first answer to this key again. Refuses as Ledger.hold does, and with phase-closed
   * before the campaign's first phase.
   */
  request(player: Player, campaign: CampaignSnapshot, ask: WithdrawalAsk): Promise<Withdrawal | Refusal>;
  /** A withdrawal of this person in the phase that is shown now (I7); withdrawal-unknown for anybody else's. */
  find(player: Player, campaign: CampaignSnapshot, id: WithdrawalId): Promise<Withdrawal | Refusal>;
}

/** Taking money out. It never waits for the backlog: this person's outstanding tokens are credited here and now. */
export function createWithdrawals(deps: WithdrawalsDeps): Withdrawals {
  const { ledger, book, clock } = deps;

  /** The person's own account, then those of the aliases, rising. */
  const accountsOf = (
    player: Player,
    campaign: CampaignSnapshot,
  ): readonly [Account, ...Account[]] | Refusal => {
    const phase = walletPhaseAt(campaign, clock.now());
    if (!phase) return refuse('phase-closed', `campaign ${campaign.id} has not opened yet`);
    const of = (actId: ActId): Account => ({ actId, phaseKey: phase.key });
    return [of(player.actId), ...player.aliases.map(of)];
  };

  /** What to credit now: all of the book's, or what the phone has shown besides while the book may lack some. */
  async function promisedTo(account: Account, shown: readonly Order[]): Promise<readonly Order[]> {
    const known = await promisedToOne(book, account);
    if (known.complete) return known.orders;
    const own = shown.filter((order) => order.actId === account.actId);
    return eachOnce([...known.orders, ...own]);
  }

  const markCredited = (orders: readonly Order[]) =>
    unlessBookIsAway(() => book.advance(orders, TOKEN_STATUS.credited), undefined);

  /** Brings all that an alias has to the person's own account. Only then can a hold take it. */
  async function bringOver(alias: Account, to: ActId, shown: readonly Order[]): Promise<void> {
    const orders = await promisedTo(alias, shown);
    if (orders.length > 0) {
      await ledger.creditUnlogged(orders);
      await markCredited(orders);
    }
    await ledger.moveBalance(alias, to, clock.now());
  }

  return {
    async request(asking, campaign, ask) {
      const player: Player = { ...asking, ...(await deps.personNow(asking)) };
      const accounts = accountsOf(player, campaign);
      if (isRefusal(accounts)) return accounts;
      const [account, ...aliases] = accounts;
      const shown = await deps.takeIn(player, campaign, ask.tokens);
      const idempotency = { idempotencyKey: ask.idempotencyKey, payloadHash: payloadHash(campaign, ask) };
      // The youngest first: what is on its way to one that was no alias yet goes on from there.
      for (const alias of aliases.toReversed()) {
        await bringOver(alias, account.actId, shown);
        // After its money is gone, nobody who doesn't know of the join can take any under this key any more.
        const replayed = await ledger.replayOf(alias, idempotency);
        if (!replayed) continue;
        if (!isRefusal(replayed)) deps.onHeld(replayed);
        return replayed;
      }
      const force = await promisedTo(account, shown);
      const nowMs = clock.now();
      const held = await ledger.hold({
        id: newWithdrawalId(nowMs),
        account,
        amountFen: ask.amountFen,
        ...idempotency,
        requestedAtMs: nowMs,
        force,
      });
      if (isRefusal(held)) return held;
      // A replay has forced nothing: what is outstanding by now is left to crediting, or to the next withdrawal.
      if (!held.replayed) await markCredited(force);
      deps.onHeld(held.withdrawal);
      return held.withdrawal;
    },
    async find(player, campaign, id) {
      const accounts = accountsOf(player, campaign);
      if (isRefusal(accounts)) return accounts;
      for (const account of accounts) {
        const found = await ledger.withdrawal(account, id);
        if (found) return found;
      }
      return refuse('withdrawal-unknown', 'this person has no withdrawal of this id');
    },
  };
}

/** The tokens are no part of it: a retry may send others, and asks for the same withdrawal. */
const payloadHash = (campaign: CampaignSnapshot, ask: WithdrawalAsk): Buffer =>
  createHash('sha256').update(`${campaign.id}\0${ask.amountFen}`).digest();
