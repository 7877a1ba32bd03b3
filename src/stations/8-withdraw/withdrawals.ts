import { createHash } from 'node:crypto';
import { walletPhaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { Account, Ledger, TokenBook, Withdrawal } from '../../engines/ports.ts';
import type { Player } from '../../guard/player.ts';
import { unlessBookIsAway } from '../../guard/weak.ts';
import { isRefusal, type Refusal, refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { WithdrawalId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import { eachOnce, type Order } from '../../vocabulary/order.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';
import { newWithdrawalId } from './withdrawal-id.ts';

export interface WithdrawalsDeps {
  readonly ledger: Ledger;
  readonly book: TokenBook;
  readonly clock: Clock;
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

  const accountOf = (player: Player, campaign: CampaignSnapshot): Account | Refusal => {
    const phase = walletPhaseAt(campaign, clock.now());
    return phase
      ? { actId: player.actId, phaseKey: phase.key }
      : refuse('phase-closed', `campaign ${campaign.id} has not opened yet`);
  };

  async function outstandingOf({ actId, phaseKey }: Account) {
    const entries = await book.outstandingOf(actId, phaseKey);
    return { orders: entries.map((entry) => entry.order), complete: await book.isWhole(actId) };
  }

  return {
    async request(player, campaign, ask) {
      const account = accountOf(player, campaign);
      if (isRefusal(account)) return account;
      const shown = await deps.takeIn(player, campaign, ask.tokens);
      const outstanding = await unlessBookIsAway(() => outstandingOf(account), undefined);
      const force = outstanding?.complete
        ? outstanding.orders
        : eachOnce([...(outstanding?.orders ?? []), ...shown]);
      const nowMs = clock.now();
      const held = await ledger.hold({
        id: newWithdrawalId(nowMs),
        account,
        amountFen: ask.amountFen,
        idempotencyKey: ask.idempotencyKey,
        payloadHash: payloadHash(campaign, ask),
        requestedAtMs: nowMs,
        force,
      });
      if (isRefusal(held)) return held;
      // A replay has forced nothing: what is outstanding by now is left to crediting, or to the next withdrawal.
      if (!held.replayed) await unlessBookIsAway(() => book.advance(force, TOKEN_STATUS.credited), undefined);
      deps.onHeld(held.withdrawal);
      return held.withdrawal;
    },
    async find(player, campaign, id) {
      const account = accountOf(player, campaign);
      if (isRefusal(account)) return account;
      const found = await ledger.withdrawal(account, id);
      return found ?? refuse('withdrawal-unknown', 'this person has no withdrawal of this id');
    },
  };
}

/** The tokens are no part of it: a retry may send others, and asks for the same withdrawal. */
const payloadHash = (campaign: CampaignSnapshot, ask: WithdrawalAsk): Buffer =>
  createHash('sha256').update(`${campaign.id}\0${ask.amountFen}`).digest();
