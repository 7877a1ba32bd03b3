import { createHash, randomBytes } from 'node:crypto';
import { walletPhaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { Ledger, TokenBook, Withdrawal } from '../../engines/ports.ts';
import type { Player } from '../../guard/player.ts';
import { isRefusal, type Refusal, refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { WithdrawalId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';

export interface WithdrawalsDeps {
  readonly ledger: Ledger;
  readonly book: TokenBook;
  readonly clock: Clock;
  /** Counts in what only the phone still has (7-wallet). */
  readonly takeIn: (player: Player, campaign: CampaignSnapshot, tokens: readonly string[]) => Promise<void>;
  /** Tells the payer that there is something to pay. */
  readonly onHeld: (withdrawal: Withdrawal) => void;
}

export interface WithdrawalAsk {
  readonly amountFen: Fen;
  readonly idempotencyKey: string;
  readonly tokens: readonly string[];
}

export interface Withdrawals {
  request(player: Player, campaign: CampaignSnapshot, ask: WithdrawalAsk): Promise<Withdrawal | Refusal>;
  find(player: Player, campaign: CampaignSnapshot, id: WithdrawalId): Promise<Withdrawal | Refusal>;
}

/** Taking money out. It never waits for the backlog: this person's outstanding tokens are credited here and now. */
export function createWithdrawals(deps: WithdrawalsDeps): Withdrawals {
  const { ledger, book, clock } = deps;

  const accountOf = (player: Player, campaign: CampaignSnapshot) => {
    const phase = walletPhaseAt(campaign, clock.now());
    return phase
      ? { actId: player.actId, phaseKey: phase.key }
      : refuse('phase-closed', `campaign ${campaign.id} has not opened yet`);
  };

  return {
    async request(player, campaign, ask) {
      const account = accountOf(player, campaign);
      if (isRefusal(account)) return account;
      await deps.takeIn(player, campaign, ask.tokens);
      const force = (await book.outstandingOf(account.actId, account.phaseKey)).map((entry) => entry.order);
      const held = await ledger.hold({
        id: newWithdrawalId(clock),
        account,
        amountFen: ask.amountFen,
        idempotencyKey: ask.idempotencyKey,
        // The tokens are no part of it: a retry may send others, and asks for the same withdrawal.
        payloadHash: createHash('sha256').update(`${campaign.id}\0${ask.amountFen}`).digest(),
        requestedAtMs: clock.now(),
        force,
      });
      if (isRefusal(held)) return held;
      if (!held.replayed) await book.advance(force, TOKEN_STATUS.credited);
      deps.onHeld(held.withdrawal);
      return held.withdrawal;
    },
    async find(player, campaign, id) {
      const account = accountOf(player, campaign);
      if (isRefusal(account)) return account;
      return (
        (await ledger.withdrawal(account, id)) ??
        refuse('withdrawal-unknown', 'this person has no withdrawal of this id')
      );
    },
  };
}

/** UUID v7 (RFC 9562): the time in front, so that keys of one night lie together. */
export function newWithdrawalId(clock: Clock): WithdrawalId {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(clock.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join(
    '-',
  ) as WithdrawalId;
}
