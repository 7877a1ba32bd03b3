import type { Bilingual, CampaignSnapshot, Phase } from '../../campaign/snapshot.ts';
import type { Account, Ledger, RecordCursor } from '../../engines/ports.ts';
import type { Player } from '../../guard/player.ts';
import { isRefusal, type Refusal } from '../../protocol/failures.ts';
import { encodeCursor, mergeRecords, type WalletRecord } from '../../rules/merge-records.ts';
import type { Balances } from '../../rules/wallet-overlay.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import { eachOnce, type Order } from '../../vocabulary/order.ts';
import { parseOrderNumber } from '../../vocabulary/order-number.ts';
import type { AwardLine, AwardOwner, AwardShelf } from './awards.ts';
import { balancesWith, promisedTo, walletPhase } from './balances.ts';
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
    account: Account,
    campaign: CampaignSnapshot,
    tokens: readonly Order[],
    after: RecordCursor | undefined,
    limit: number,
  ): Promise<RecordsPage> {
    const lines = await ledger.records(account, after, limit + 1);
    const merged = mergeRecords(lines, tokens, after, limit + 1);
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
      const account = { actId: player.actId, phaseKey: phase.key };
      const known = await promisedTo(book, account);
      const tokens = known.complete ? known.orders : eachOnce([...known.orders, ...shown]);
      return {
        ...(await balancesWith(ledger, account, tokens)),
        awards: await deps.shelf.list(ownerOf(account), campaign, tokens),
        ...(await page(account, campaign, tokens, undefined, FIRST_PAGE_LINES)),
        refusedTokens: refused,
        complete: known.complete,
      };
    },
    async use(player, campaign, orderNumber) {
      const phase = phaseNow(campaign);
      if (isRefusal(phase)) return phase;
      return deps.shelf.use({ actIds: [player.actId], phaseKey: phase.key }, campaign, orderNumber);
    },
    async records(player, campaign, after, limit) {
      const phase = phaseNow(campaign);
      if (isRefusal(phase)) return phase;
      const account = { actId: player.actId, phaseKey: phase.key };
      return page(account, campaign, (await promisedTo(book, account)).orders, after, limit);
    },
  };
}

const ownerOf = ({ actId, phaseKey }: Account): AwardOwner => ({ actIds: [actId], phaseKey });

function withBill(record: WalletRecord, campaign: CampaignSnapshot): WalletLine {
  if (record.kind !== 'credit') return { ...record, bill: WITHDRAWAL_BILL };
  const parts = parseOrderNumber(record.ref);
  if (!parts) return { ...record, bill: PACKET_BILL };
  const bill = campaign.scenes.get(parts.sceneId)?.bill ?? PACKET_BILL;
  return { ...record, bill, sceneId: parts.sceneId, rainId: parts.rainId };
}
