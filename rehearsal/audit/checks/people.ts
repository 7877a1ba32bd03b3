import { type Evidence, groupBy, rulesOf } from '../evidence.ts';
import type { Notebook } from '../report.ts';

/** I4 per person: packets in all, per sponsor and per scene, within a phase. */
export function checkPeople(evidence: Evidence, notebook: Notebook): void {
  const won = [...evidence.orders.values()].flatMap(({ order, isVoid }) => {
    const rules = rulesOf(evidence, order);
    return rules && !isVoid ? [{ order, ...rules }] : [];
  });
  const people = groupBy(won, ({ order }) => `person ${order.actId} phase ${order.phaseKey}`);
  notebook.saw('people', people.size);
  for (const [person, packets] of people) {
    const { limits } = packets[0]!.campaign;
    const shaken = packets.filter(({ scene }) => scene.rule !== 'given');
    if (shaken.length > limits.packets)
      notebook.find('I4', 'person above the limit', person, `${shaken.length} packets`);
    for (const [sponsor, ofSponsor] of groupBy(shaken, ({ scene }) => scene.sponsor))
      if (ofSponsor.length > limits.packetsPerSponsor)
        notebook.find(
          'I4',
          'person above the sponsor’s limit',
          person,
          `${ofSponsor.length} packets of ${sponsor}`,
        );
    for (const [sceneId, ofScene] of groupBy(packets, ({ scene }) => scene.id))
      if (ofScene.length > ofScene[0]!.scene.personPackets)
        notebook.find(
          'I4',
          'person above the scene’s limit',
          person,
          `${ofScene.length} packets of ${sceneId}`,
        );
  }
}
