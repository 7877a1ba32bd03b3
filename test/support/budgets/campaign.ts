/** The campaign of the budget test: five scenes under common totals, sizes by chance. */

export interface TestScene {
  readonly id: string;
  /** With less money than this, or without a packet, none of its lines can pay for it. */
  readonly needsFen: bigint;
}

export const SCENES: readonly TestScene[] = [
  { id: 'lucky', needsFen: 1n },
  { id: 'even', needsFen: 20n },
  { id: 'named', needsFen: 1n },
  { id: 'coupon', needsFen: 50n },
  { id: 'card', needsFen: 0n },
];

/** No packet of `named` is asked for with more, in fen. */
export const NAMED_FEN_MAX = 60;

const LEVELS = ['/', '/cash', '/cash/rain', '/cash/show', '/things', '/things/all'] as const;
const BELOW: Readonly<Record<(typeof LEVELS)[number], readonly string[]>> = {
  '/': ['lucky', 'even', 'named', 'coupon', 'card'],
  '/cash': ['lucky', 'even', 'named'],
  '/cash/rain': ['lucky', 'even'],
  '/cash/show': ['named'],
  '/things': ['coupon', 'card'],
  '/things/all': ['coupon', 'card'],
};

/** The lines above a scene, its own first. */
export const chainOf = (sceneId: string): string[] => [
  sceneId,
  ...LEVELS.filter((path) => BELOW[path].includes(sceneId)),
];

/** What counts for a line: its own scene, or those below it. */
export const scenesOf = (line: string): readonly string[] => BELOW[line as (typeof LEVELS)[number]] ?? [line];

/** A campaign file whose totals are scarce somewhere in every chain: now in packets, now in fen, at another level each time. */
export function campaignFile(random: () => number, packets: number): string {
  const part = (least: number, most: number) => Math.floor(packets * (least + random() * (most - least)));
  const total = (packetsOf: number, fenOf: number) =>
    `{ packets: ${Math.max(1, packetsOf)}, fen: ${Math.max(1, fenOf)} }`;
  const [lucky, even, coupon, card] = [part(0.2, 0.5), part(0.2, 0.5), part(0.1, 0.3), part(0.1, 0.3)];
  const scene = (id: string, award: string, more: string) => `
          - id: ${id}
            award: ${award}
            sponsor: panda
            bill: { zh: 红包, en: Packet }
            flags: { compensate: true, stockControlled: true, reconcile: true }
${more
  .trim()
  .split('\n')
  .map((line) => `            ${line.trim()}`)
  .join('\n')}`;
  const item = (id: string, budget: string, scenes: string[]) => `
      - id: ${id}
        title: { zh: 项, en: Item }
        budget: ${budget}
        scenes:${scenes.join('')}`;
  return `
campaign: stock
title: { zh: 库存, en: Stock }
apps: [{ id: 1, name: demo }]
limits: { packets: 1000, packetsPerSponsor: 1000 }
ticketTtl: PT2M
sponsors:
  - { id: panda, name: { zh: 熊猫, en: Panda }, greetings: [{ zh: 好, en: Good }] }
budget: ${total(part(0.8, 1.1), packets * 25)}
rewards:
  - id: cash
    title: { zh: 现金, en: Cash }
    budget: ${total(part(0.5, 1), part(8, 20))}
    items:${item('rain', total(part(0.3, 0.8), packets * 25), [
      scene(
        'lucky',
        'cash',
        `amount: { rule: split }
         caps: { packetFen: 200, personPackets: 1 }
         budget: { fen: ${lucky * (10 + Math.floor(random() * 30))}, packets: ${lucky} }`,
      ),
      scene(
        'even',
        'cash',
        `amount: { rule: fixed, fen: 20 }
         caps: { packetFen: 20, personPackets: 1 }
         budget: { fen: ${even * 20}, packets: ${even} }`,
      ),
    ])}${item('show', total(part(0.2, 0.4), packets * 20), [
      scene(
        'named',
        'cash',
        `amount: { rule: given }
         caps: { packetFen: 1000, personPackets: 1 }
         budget: { fen: ${part(3, 8)}, packets: ${part(0.2, 0.5)} }`,
      ),
    ])}
  - id: things
    title: { zh: 卡券, en: Things }
    budget: ${total(part(0.15, 0.5), packets * 20)}
    items:${item('all', total(part(0.15, 0.5), part(3, 12)), [
      scene(
        'coupon',
        'shop-coupon',
        `amount: { rule: piece, worthFen: 50 }
         caps: { personPackets: 1 }
         fulfil: { connector: shop, item: c1 }
         budget: { packets: ${coupon} }`,
      ),
      scene(
        'card',
        'greeting',
        `amount: { rule: piece }
         caps: { personPackets: 1 }
         budget: { packets: ${card} }`,
      ),
    ])}
phases:
  - id: live
    kind: live
    opensAt: 2020-01-01T00:00:00+08:00
    closesAt: 2120-01-01T00:00:00+08:00
    rains: []
`;
}
