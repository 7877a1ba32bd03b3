import { parse } from 'yaml';

export interface SceneRules {
  readonly id: string;
  readonly award: string;
  readonly sponsor: string;
  readonly rule: string;
  readonly packetCapFen: bigint;
  readonly personPackets: number;
}

export interface Round {
  readonly startsAtMs: number;
  readonly endsAtMs: number;
  readonly deals: ReadonlyMap<string, { readonly packets: bigint; readonly fen: bigint }>;
}

export interface PhaseRules {
  readonly id: string;
  readonly opensAtMs: number;
  readonly closesAtMs: number;
  /** By scene. */
  readonly budgets: ReadonlyMap<string, { readonly packets: bigint; readonly fen: bigint }>;
  round(id: number): Round | undefined;
}

export interface CampaignRules {
  readonly id: string;
  readonly limits: { readonly packets: number; readonly packetsPerSponsor: number };
  readonly scenes: ReadonlyMap<string, SceneRules>;
  readonly phases: ReadonlyMap<string, PhaseRules>;
}

// The file's own shape (schema/campaign.schema.json), as far as the auditor needs it.
interface SceneText {
  id: string;
  award: string;
  sponsor: string;
  amount: { rule: string };
  caps: { packetFen: number; personPackets: number };
  budget: { fen: number; packets: number };
}
interface RainText {
  id?: number;
  firstId?: number;
  startsAt: string;
  lasts: string;
  every?: string;
  count?: number;
  deals: { scene: string; packets: number; budgetFen: number }[];
}
interface CampaignText {
  campaign: string;
  limits: { packets: number; packetsPerSponsor: number };
  rewards: { items: { scenes: SceneText[] }[] }[];
  phases: {
    id: string;
    opensAt: string;
    closesAt: string;
    budgets?: { scene: string; fen: number; packets: number }[];
    rains: RainText[];
  }[];
}

/** Reads a campaign file as it was applied. */
export function readCampaignFile(source: string): CampaignRules {
  const text = parse(source) as CampaignText;
  const scenes = text.rewards.flatMap((reward) => reward.items.flatMap((item) => item.scenes));
  return {
    id: text.campaign,
    limits: text.limits,
    scenes: new Map(
      scenes.map(({ id, award, sponsor, amount, caps }) => [
        id,
        {
          id,
          award,
          sponsor,
          rule: amount.rule,
          packetCapFen: BigInt(caps.packetFen),
          personPackets: caps.personPackets,
        },
      ]),
    ),
    phases: new Map(
      text.phases.map((phase) => [
        phase.id,
        {
          id: phase.id,
          opensAtMs: Date.parse(phase.opensAt),
          closesAtMs: Date.parse(phase.closesAt),
          budgets: new Map(
            [...scenes.map(({ id, budget }) => ({ scene: id, ...budget })), ...(phase.budgets ?? [])].map(
              (budget) => [budget.scene, { packets: BigInt(budget.packets), fen: BigInt(budget.fen) }],
            ),
          ),
          round: (id) => roundOf(phase.rains, id),
        },
      ]),
    ),
  };
}

function roundOf(rains: readonly RainText[], id: number): Round | undefined {
  for (const rain of rains) {
    const nth = id - (rain.id ?? rain.firstId ?? Number.NaN);
    if (!(nth >= 0 && nth < (rain.count ?? 1))) continue;
    const lastsMs = durationMs(rain.lasts);
    const startsAtMs =
      Date.parse(rain.startsAt) + nth * (rain.every === undefined ? lastsMs : durationMs(rain.every));
    const deals = rain.deals.map(
      ({ scene, packets, budgetFen }) =>
        [scene, { packets: BigInt(packets), fen: BigInt(budgetFen) }] as const,
    );
    return { startsAtMs, endsAtMs: startsAtMs + lastsMs, deals: new Map(deals) };
  }
  return undefined;
}

const UNIT_MS: Readonly<Record<string, number>> = { D: 86_400_000, H: 3_600_000, M: 60_000, S: 1_000 };

/** ISO 8601 durations of days, hours, minutes and seconds. */
const durationMs = (text: string): number =>
  [...text.matchAll(/([\d.]+)([DHMS])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * UNIT_MS[unit!]!,
    0,
  );
