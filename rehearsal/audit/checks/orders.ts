import { type Evidence, rulesOf } from '../evidence.ts';
import type { Notebook } from '../report.ts';

/** Each order says what its number says, belongs to its phase by the time it was drawn, and stands for one content. */
export function checkOrders(evidence: Evidence, notebook: Notebook): void {
  const keys = new Map(
    evidence.database.phases.map(({ campaignId, phaseId, phaseKey }) => [
      `${campaignId}/${phaseId}`,
      phaseKey,
    ]),
  );
  for (const { order, sequence, isVoid } of evidence.journal.appended) {
    const where = order.orderNumber;
    const first = evidence.orders.get(order.orderNumber)!;
    if (!isVoid && first.order !== order && textOf(first.order) !== textOf(order))
      notebook.find(
        'I1',
        'order number with two contents',
        where,
        `sequences ${first.sequence} and ${sequence}`,
      );

    const rules = rulesOf(evidence, order);
    if (!rules) {
      notebook.find(
        'format',
        'order of an unknown campaign, scene or phase',
        where,
        `${order.campaignId} ${order.stage}`,
      );
      continue;
    }
    const { scene, phase } = rules;
    const number = `${order.actId}_${order.sceneId}_${order.rainId}_${scene.award}_${order.stage}`;
    notebook.same(
      'format',
      'order number does not say what the order says',
      where,
      order.orderNumber,
      number,
    );
    notebook.same(
      'I7',
      'order with another phase’s key',
      where,
      order.phaseKey,
      keys.get(`${order.campaignId}/${order.stage}`),
    );
    if (order.drawnAtMs < phase.opensAtMs || order.drawnAtMs >= phase.closesAtMs)
      notebook.find('I7', 'order drawn outside its phase', where, `at ${order.drawnAtMs}`);
    if (order.amountFen < 1n || order.amountFen > scene.packetCapFen)
      notebook.find('I4', 'packet above its cap', where, `${order.amountFen} fen, cap ${scene.packetCapFen}`);
    if (scene.rule === 'given') continue;
    const round = phase.round(order.rainId);
    if (!round?.deals.has(order.sceneId))
      notebook.find('I7', 'order of a round that does not deal it', where, `round ${order.rainId}`);
    else if (order.drawnAtMs < round.startsAtMs || order.drawnAtMs >= round.endsAtMs)
      notebook.find('I7', 'order drawn outside its round', where, `at ${order.drawnAtMs}`);
  }
}

const textOf = (order: object): string =>
  JSON.stringify(order, (_, value) => (typeof value === 'bigint' ? `${value}` : value));
