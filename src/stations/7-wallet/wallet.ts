import type { Bilingual, CampaignSnapshot, Phase } from '../../campaign/snapshot.ts';
import type { Account, Ledger, RecordCursor } from '../../engines/ports.ts';
import type { Player } from '../../guard/player.ts';
import { isRefusal, type Refusal } from '../../protocol/failures.ts';
import { encodeCursor, mergeRecords, type WalletRecord } from '../../rules/merge-records.ts';
import type { Balances } from '../../rules/wallet-overlay.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import { eachOnce, type Order } from '../../vocabulary/order.ts';
import { parseOrderNumber } from '../../vocabulary/order-number.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';
import type { AwardLine, AwardOwner, AwardShelf } from './awards.ts';
import { accountsOf, balancesWith, promisedTo, walletPhase } from './balances.ts';
import { type PhoneTokensDeps, type RefusedToken, takeIn } from './tokens.ts';

export interface WalletDeps extends PhoneTokensDeps {
  readonly shelf: AwardShelf;
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
  /** Everything that is not money, newest first. */
  readonly awards: readonly AwardLine[];
  /** False while the book is away, or is being filled again: what is not credited yet shows only if the phone brought its token. */
  readonly complete: boolean;
  readonly refusedTokens: readonly RefusedToken[];
}

export interface Wallet {
  /** Everything this person has, the phone's tokens counted in first. */
  overview(
    player: Player,
    campaign: CampaignSnapshot,
    tokens: readonly string[],
  ): Promise<WalletOverview | Refusal>;
  /** Marks a piece as used. */
  use(player: Player, campaign: CampaignSnapshot, orderNumber: string): Promise<AwardLine | Refusal>;
  /** The lines behind a cursor; `limit` from 1. */
  records(
    player: Player,
    campaign: CampaignSnapshot,
    after: RecordCursor | undefined,
    limit: number,
  ): Promise<RecordsPage | Refusal>;
}

export const FIRST_PAGE_LINES = 20;
const WITHDRAWAL_BILL: Bilingual = { zh: '提现', en: 'Withdrawal' };
const PACKET_BILL: Bilingual = { zh: '红包', en: 'Packet' };

/** What a person has: never the backlog, always what is credited and what is promised, each packet once. */
export function createWallet(deps: WalletDeps): Wallet {
  const { ledger, book } = deps;

  const phaseNow = (campaign: CampaignSnapshot): Phase | Refusal => walletPhase(campaign, deps.clock.now());

  /** `tokens` were read before this is called. */
  async function page(
    accounts: readonly Account[],
    campaign: CampaignSnapshot,
    tokens: readonly Order[],
    after: RecordCursor | undefined,
    limit: number,
  ): Promise<RecordsPage> {
    const lines = await Promise.all(accounts.map((account) => ledger.records(account, after, limit + 1)));
    const merged = mergeRecords(lines.flat(), tokens, after, limit + 1);
    const shown = merged.slice(0, limit);
    return {
      records: shown.map((record) => withBill(record, campaign)),
      ...(merged.length > limit ? { nextCursor: encodeCursor(shown.at(-1)!) } : {}),
    };
  }

  return {
    async overview(player, campaign, phoneTokens) {
      const phase = phaseNow(campaign);
      if (isRefusal(phase)) return phase;
      const { refused, shown } = await takeIn(deps, player, campaign, phase, phoneTokens);
      const accounts = accountsOf(player, phase.key);
      const known = await promisedTo(book, accounts);
      const tokens = known.complete ? known.orders : eachOnce([...known.orders, ...shown]);
      return {
        ...(await balancesWith(ledger, accounts, tokens)),
        awards: await deps.shelf.list(ownerOf(player, phase), campaign, tokens),
        ...(await page(accounts, campaign, tokens, undefined, FIRST_PAGE_LINES)),
        refusedTokens: refused,
        complete: known.complete,
      };
    },
    async use(player, campaign, orderNumber) {
      const phase = phaseNow(campaign);
      if (isRefusal(phase)) return phase;
      return deps.shelf.use(ownerOf(player, phase), campaign, orderNumber);
    },
    async records(player, campaign, after, limit) {
      const phase = phaseNow(campaign);
      if (isRefusal(phase)) return phase;
      const accounts = accountsOf(player, phase.key);
      return page(accounts, campaign, (await promisedTo(book, accounts)).orders, after, limit);
    },
  };
}

const ownerOf = (person: Person, phase: Phase): AwardOwner => ({
  actIds: idsOf(person),
  phaseKey: phase.key,
});

function withBill(record: WalletRecord, campaign: CampaignSnapshot): WalletLine {
  if (record.kind !== 'credit') return { ...record, bill: WITHDRAWAL_BILL };
  const parts = parseOrderNumber(record.ref);
  if (!parts) return { ...record, bill: PACKET_BILL };
  const bill = campaign.scenes.get(parts.sceneId)?.bill ?? PACKET_BILL;
  return { ...record, bill, sceneId: parts.sceneId, rainId: parts.rainId };
}
