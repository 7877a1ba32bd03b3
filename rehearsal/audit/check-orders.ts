import { parse } from 'yaml';
import type { AuditedJournal, JournalEntry } from './journal.ts';
import type { Catalog } from './ledger.ts';
import { ordersByPerson } from './persons.ts';
import type { Findings, Invariant } from './report.ts';
import { type AuditedOrder, isPiece, keyOfOrder } from './token.ts';

interface CampaignFile {
  readonly limits: { readonly packets: number; readonly packetsPerSponsor: number };
  readonly rewards: {
    items: {
      scenes: {
        id: string;
        sponsor: string;
        award: string;
        amount: { rule: string; worthFen?: number };
        /** A piece has no cap: it is worth what it is worth. */
        caps: { packetFen?: number; personPackets: number };
      }[];
    }[];
  }[];
  readonly phases: {
    id: string;
    opensAt: string;
    closesAt: string;
    rains?: { deals?: { scene: string }[] }[];
  }[];
}

const sameOrder = (a: AuditedOrder, b: AuditedOrder): boolean =>
  a.fen === b.fen &&
  a.drawnAtMs === b.drawnAtMs &&
  a.sliceId === b.sliceId &&
  a.epoch === b.epoch &&
  a.index === b.index;

/**
 * Each order once, under the format of its own fields (I1). Returns them by `orderKey`, repeats left out; one that counts
 * goes before a void one, because after a void one, which nobody was told of, the same number may be won anew.
 */
export function distinctOrders(journal: AuditedJournal, findings: Findings): Map<string, JournalEntry> {
  const orders = new Map<string, JournalEntry>();
  for (const entry of journal.entries) {
    const { order } = entry;
    const where = order.orderNumber;
    if (
      order.orderNumber !== `${order.actId}_${order.scene}_${order.rain}_${order.award}_${order.stage}` ||
      (order.award !== 'cash' && !isPiece(order.award))
    )
      findings.add('I1', 'an order number is not the format of its own fields', where);
    const key = keyOfOrder(order);
    const earlier = orders.get(key);
    if (!earlier || (earlier.isVoid && !entry.isVoid)) orders.set(key, entry);
    else if (entry.isVoid) continue;
    else if (!sameOrder(earlier.order, order))
      findings.add('I1', 'an order number stands for two things', where);
  }
  return orders;
}

/** One version of a campaign, as it was applied. */
interface Version {
  readonly file: CampaignFile;
  /** What some round deals. */
  readonly dealt: ReadonlySet<string>;
  readonly scenes: ReadonlyMap<string, CampaignFile['rewards'][number]['items'][number]['scenes'][number]>;
}

interface Fault {
  readonly invariant: Invariant;
  readonly what: string;
  readonly detail: string;
}

/**
 * Phases apart (I7), caps per packet and per person over all of a person's ids (I4), by what some version of the
 * campaign's own file allowed.
 */
export function checkAgainstCampaign(
  orders: ReadonlyMap<string, JournalEntry>,
  catalog: Catalog,
  findings: Findings,
): void {
  const campaigns = new Map<string, Version[]>();
  for (const { campaign_id: id, source } of catalog.campaigns) {
    const versions = campaigns.get(id) ?? [];
    campaigns.set(id, versions);
    versions.push(versionOf(parse(source) as CampaignFile));
  }
  const keys = new Map(
    catalog.phases.map((phase) => [`${phase.campaign_id}/${phase.phase_id}`, phase.phase_key]),
  );
  const counted: AuditedOrder[] = [];
  for (const { order, isVoid } of orders.values()) {
    const versions = campaigns.get(order.campaign) ?? [];
    const phaseKey = keys.get(`${order.campaign}/${order.stage}`);
    if (versions.length === 0)
      findings.add('I7', 'an order names a campaign that was never applied', order.orderNumber);
    addUnlessAllowed(
      versions,
      (version) => orderFaults(order, version, phaseKey),
      order.orderNumber,
      findings,
    );
    if (!isVoid) counted.push(order);
  }
  for (const [person, own] of ordersByPerson(counted, catalog.aliases))
    addUnlessAllowed(
      campaigns.get(own[0]!.campaign) ?? [],
      (version) => personFaults(own, version),
      person,
      findings,
    );
}

/** A campaign may be applied anew with other limits while it runs; what is wrong by the newest was right before. */
function addUnlessAllowed(
  versions: readonly Version[],
  faultsOf: (version: Version) => Fault[],
  where: string,
  findings: Findings,
): void {
  const newest = versions[0] && faultsOf(versions[0]);
  if (!newest || newest.length === 0 || versions.slice(1).some((version) => faultsOf(version).length === 0))
    return;
  for (const { invariant, what, detail } of newest) findings.add(invariant, what, where, detail);
}

const versionOf = (file: CampaignFile): Version => ({
  file,
  dealt: new Set(
    file.phases.flatMap(({ rains = [] }) =>
      rains.flatMap(({ deals = [] }) => deals.map(({ scene }) => scene)),
    ),
  ),
  scenes: new Map(
    file.rewards.flatMap((reward) =>
      reward.items.flatMap((item) => item.scenes.map((scene) => [scene.id, scene] as const)),
    ),
  ),
});

function orderFaults(order: AuditedOrder, { file, scenes }: Version, phaseKey: number | undefined): Fault[] {
  const scene = scenes.get(order.scene);
  const phase = file.phases.find((one) => one.id === order.stage);
  if (!scene || !phase)
    return [{ invariant: 'I7', what: 'an order names no scene or phase that was ever applied', detail: '' }];
  const faults: Fault[] = [];
  if (order.drawnAtMs < Date.parse(phase.opensAt) || order.drawnAtMs >= Date.parse(phase.closesAt))
    faults.push({ invariant: 'I7', what: 'an order was drawn outside its phase', detail: '' });
  if (phaseKey !== order.phaseKey)
    faults.push({ invariant: 'I7', what: 'an order has the key of another phase', detail: '' });
  if (order.award !== scene.award)
    faults.push({
      invariant: 'I7',
      what: 'an order is of another award than its scene',
      detail: order.award,
    });
  const detail = `${order.fen} fen`;
  if (order.award === 'cash' && (order.fen < 1n || order.fen > BigInt(scene.caps.packetFen ?? 0)))
    faults.push({ invariant: 'I4', what: 'a packet is over its cap', detail });
  if (order.award !== 'cash' && order.fen !== BigInt(scene.amount.worthFen ?? 0))
    faults.push({ invariant: 'I4', what: 'a piece is not worth what its scene says', detail });
  return faults;
}

/** What services name the amount of, or grant without any round dealing it, counts against its own scene's cap only. */
function personFaults(own: readonly AuditedOrder[], { file, scenes, dealt }: Version): Fault[] {
  const faults: Fault[] = [];
  const over = (what: string, detail: string) => faults.push({ invariant: 'I4', what, detail });
  const shaken = own.filter(({ scene }) => {
    const rule = scenes.get(scene)?.amount.rule;
    return rule === 'piece' ? dealt.has(scene) : rule !== 'given';
  });
  if (shaken.length > file.limits.packets)
    over('a person has more packets than allowed', `${shaken.length} of ${file.limits.packets}`);
  for (const [sponsor, count] of countBy(shaken, (order) => scenes.get(order.scene)?.sponsor ?? '')) {
    if (count > file.limits.packetsPerSponsor)
      over('a person has more packets of a sponsor than allowed', `${count} of ${sponsor}`);
  }
  for (const [scene, count] of countBy(own, (order) => order.scene)) {
    if (count > (scenes.get(scene)?.caps.personPackets ?? 0))
      over('a person has more packets of a scene than allowed', `${count} of ${scene}`);
  }
  return faults;
}

function countBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}
