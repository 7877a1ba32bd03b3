import { walletPhaseAt } from '../../campaign/lookup.ts';
import type { Bilingual, CampaignSnapshot, Phase } from '../../campaign/snapshot.ts';
import type { Account, Ledger, RecordCursor } from '../../engines/ports.ts';
import type { Player } from '../../guard/player.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import {
  type Balances,
  encodeCursor,
  mergeRecords,
  overlayBalances,
  type WalletRecord,
} from '../../rules/wallet-overlay.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import { parseOrderNumber } from '../../vocabulary/order-number.ts';
import { type PhoneTokensDeps, type RefusedToken, takeIn } from './tokens.ts';

export interface WalletDeps extends PhoneTokensDeps {
  readonly ledger: Ledger;
  readonly clock: Clock;
}

export interface WalletLine extends WalletRecord {
  readonly bill: Bilingual;
  readonly sceneId?: string;
  readonly rainId?: number;
}

export interface RecordsPage {
  readonly records: readonly WalletLine[];
  readonly nextCursor?: string;
}

export interface WalletOverview extends Balances, RecordsPage {
  readonly refusedTokens: readonly RefusedToken[];
}

export interface Wallet {
  /** Everything this person has, the phone's tokens counted in first. */
  overview(
    player: Player,
    campaign: CampaignSnapshot,
    tokens: readonly string[],
  ): Promise<WalletOverview | Refusal>;
  records(
    player: Player,
    campaign: CampaignSnapshot,
    after: RecordCursor | undefined,
    limit: number,
  ): Promise<RecordsPage | Refusal>;
}

export const FIRST_PAGE_LINES = 20;
const WITHDRAWAL_BILL: Bilingual = { zh: '提现', en: 'Withdrawal' };

export function createWallet(deps: WalletDeps): Wallet {
  const phaseNow = (campaign: CampaignSnapshot): Phase | Refusal =>
    walletPhaseAt(campaign, deps.clock.now()) ??
    refuse('phase-closed', `campaign ${campaign.id} has not opened yet`);

  /**
   * The book is read first, the ledger second. A token leaves the book only after its credit is committed; so whatever
   * the first look misses, the second one has, and what both have is taken once, by its order number. The other way
   * round, a credit between the two looks would be seen by neither.
   */
  async function outstanding(account: Account) {
    const entries = await deps.book.outstandingOf(account.actId, account.phaseKey);
    return entries.map((entry) => entry.order);
  }

  async function page(
    account: Account,
    campaign: CampaignSnapshot,
    after: RecordCursor | undefined,
    limit: number,
  ): Promise<RecordsPage> {
    const tokens = await outstanding(account);
    const lines = await deps.ledger.records(account, after, limit + 1);
    const merged = mergeRecords(lines, tokens, after, limit + 1);
    const shown = merged.slice(0, limit);
    const last = shown.at(-1);
    return {
      records: shown.map((record) => withBill(record, campaign)),
      ...(merged.length > limit && last ? { nextCursor: encodeCursor(last) } : {}),
    };
  }

  return {
    async overview(player, campaign, tokens) {
      const phase = phaseNow(campaign);
      if ('refused' in phase) return phase;
      const refusedTokens = await takeIn(deps, player, campaign, phase, tokens);
      const account = { actId: player.actId, phaseKey: phase.key };
      const orders = await outstanding(account);
      const seen = await deps.ledger.wallet(
        account,
        orders.map((order) => order.orderNumber),
      );
      return {
        ...overlayBalances(seen, orders),
        ...(await page(account, campaign, undefined, FIRST_PAGE_LINES)),
        refusedTokens,
      };
    },
    async records(player, campaign, after, limit) {
      const phase = phaseNow(campaign);
      if ('refused' in phase) return phase;
      return page({ actId: player.actId, phaseKey: phase.key }, campaign, after, limit);
    },
  };
}

function withBill(record: WalletRecord, campaign: CampaignSnapshot): WalletLine {
  if (record.kind !== 'credit') return { ...record, bill: WITHDRAWAL_BILL };
  const parts = parseOrderNumber(record.ref);
  const scene = parts && campaign.scenes.get(parts.sceneId);
  const bill = scene?.bill ?? { zh: '红包', en: 'Packet' };
  return { ...record, bill, ...(parts ? { sceneId: parts.sceneId, rainId: parts.rainId } : {}) };
}
