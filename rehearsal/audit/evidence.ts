import type { CampaignRules, PhaseRules, SceneRules } from './reading/campaign.ts';
import type { Database, Posting, SliceRow } from './reading/database.ts';
import type { Appended, Journal } from './reading/journal.ts';
import type { Payment } from './reading/payments.ts';
import type { JournalOrder } from './reading/token.ts';

/** Everything that was read, and the two views of it that most checks need. */
export interface Evidence {
  readonly journal: Journal;
  readonly drainedTo: number;
  readonly database: Database;
  readonly campaigns: ReadonlyMap<string, CampaignRules>;
  /** Read before the database, and after it: the engine may be running. */
  readonly paymentsBefore: ReadonlyMap<string, Payment> | undefined;
  readonly paymentsAfter: ReadonlyMap<string, Payment> | undefined;
  readonly settled: boolean;
  /** Each order number where it first counts; a void standing only when it stands nowhere else. */
  readonly orders: ReadonlyMap<string, Appended>;
  readonly credits: readonly Posting[];
  readonly slices: ReadonlyMap<bigint, SliceRow>;
}

export const PURSE = { wallet: 1, held: 2, funding: 3, paidOut: 4 } as const;

export const isCredit = (posting: Posting): boolean =>
  posting.purse === PURSE.wallet && posting.sliceId !== null;

export function rulesOf(
  evidence: Evidence,
  order: JournalOrder,
): { campaign: CampaignRules; scene: SceneRules; phase: PhaseRules } | undefined {
  const campaign = evidence.campaigns.get(order.campaignId);
  const scene = campaign?.scenes.get(order.sceneId);
  const phase = campaign?.phases.get(order.stage);
  return campaign && scene && phase ? { campaign, scene, phase } : undefined;
}

export const sumOf = (amounts: Iterable<bigint>): bigint => {
  let sum = 0n;
  for (const amount of amounts) sum += amount;
  return sum;
};

export function groupBy<Item>(items: Iterable<Item>, keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
