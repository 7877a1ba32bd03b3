import { parse } from 'yaml';
import type { AuditedJournal, JournalEntry } from './journal.ts';
import type { Books } from './ledger.ts';
import type { Findings } from './report.ts';
import type { AuditedOrder } from './token.ts';

interface CampaignFile {
  readonly limits: { readonly packets: number; readonly packetsPerSponsor: number };
  readonly rewards: {
    items: {
      scenes: {
        id: string;
        sponsor: string;
        amount: { rule: string };
        caps: { packetFen: number; personPackets: number };
      }[];
    }[];
  }[];
  readonly phases: { id: string; opensAt: string; closesAt: string }[];
}

const sameOrder = (a: AuditedOrder, b: AuditedOrder): boolean =>
  a.fen === b.fen &&
  a.drawnAtMs === b.drawnAtMs &&
  a.sliceId === b.sliceId &&
  a.epoch === b.epoch &&
  a.index === b.index &&
  a.phaseKey === b.phaseKey;

/** Each order once, under the format of its own fields (I1). Returns them by number, repeats left out. */
export function distinctOrders(journal: AuditedJournal, findings: Findings): Map<string, JournalEntry> {
  const orders = new Map<string, JournalEntry>();
  for (const entry of journal.entries) {
    const { order } = entry;
    const where = order.orderNumber;
    if (order.orderNumber !== `${order.actId}_${order.scene}_${order.rain}_cash_${order.stage}`)
      findings.add('I1', 'an order number is not the format of its own fields', where);
    const earlier = orders.get(order.orderNumber);
    if (!earlier) orders.set(order.orderNumber, entry);
    else if (!sameOrder(earlier.order, order))
      findings.add('I1', 'an order number stands for two things', where);
  }
  return orders;
}

/** Phases apart (I7), caps per packet and per person (I4), by the campaign's own file. */
export function checkAgainstCampaign(
  orders: ReadonlyMap<string, JournalEntry>,
  books: Books,
  findings: Findings,
): void {
  const files = new Map(books.campaigns.map((one) => [one.campaign_id, parse(one.source) as CampaignFile]));
  const keys = new Map(
    books.phases.map((phase) => [`${phase.campaign_id}/${phase.phase_id}`, phase.phase_key]),
  );
  const people = new Map<string, AuditedOrder[]>();
  for (const { order, isVoid } of orders.values()) {
    const where = order.orderNumber;
    const file = files.get(order.campaign);
    const scene = file && scenesOf(file).get(order.scene);
    const phase = file?.phases.find((one) => one.id === order.stage);
    if (!file || !scene || !phase) {
      findings.add('I7', 'an order names no campaign, scene or phase that was ever applied', where);
      continue;
    }
    if (order.drawnAtMs < Date.parse(phase.opensAt) || order.drawnAtMs >= Date.parse(phase.closesAt))
      findings.add('I7', 'an order was drawn outside its phase', where);
    if (keys.get(`${order.campaign}/${order.stage}`) !== order.phaseKey)
      findings.add('I7', 'an order has the key of another phase', where);
    if (order.fen < 1n || order.fen > BigInt(scene.caps.packetFen))
      findings.add('I4', 'a packet is over its cap', where, `${order.fen} fen`);
    if (!isVoid)
      people.set(`${order.campaign}/${order.phaseKey}/${order.actId}`, [
        ...(people.get(`${order.campaign}/${order.phaseKey}/${order.actId}`) ?? []),
        order,
      ]);
  }
  for (const [person, own] of people) checkPerson(person, own, files.get(own[0]!.campaign)!, findings);
}

const scenesOf = (file: CampaignFile) =>
  new Map(
    file.rewards.flatMap((reward) =>
      reward.items.flatMap((item) => item.scenes.map((scene) => [scene.id, scene] as const)),
    ),
  );

function checkPerson(
  person: string,
  own: readonly AuditedOrder[],
  file: CampaignFile,
  findings: Findings,
): void {
  const scenes = scenesOf(file);
  const shaken = own.filter((order) => scenes.get(order.scene)?.amount.rule !== 'given');
  if (shaken.length > file.limits.packets)
    findings.add(
      'I4',
      'a person has more packets than allowed',
      person,
      `${shaken.length} of ${file.limits.packets}`,
    );
  for (const [sponsor, count] of countBy(shaken, (order) => scenes.get(order.scene)?.sponsor ?? '')) {
    if (count > file.limits.packetsPerSponsor)
      findings.add(
        'I4',
        'a person has more packets of a sponsor than allowed',
        person,
        `${count} of ${sponsor}`,
      );
  }
  for (const [scene, count] of countBy(own, (order) => order.scene)) {
    if (count > (scenes.get(scene)?.caps.personPackets ?? 0))
      findings.add('I4', 'a person has more packets of a scene than allowed', person, `${count} of ${scene}`);
  }
}

export function countBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}
