import type { AwardType } from '../../src/vocabulary/award-type.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type {
  ActId,
  AppId,
  CampaignId,
  PhaseId,
  PhaseKey,
  RainId,
  SceneId,
  SliceId,
} from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { formatOrderNumber } from '../../src/vocabulary/order-number.ts';

export interface OrderShape {
  person: number;
  scene?: string;
  rain?: number;
  fen?: number;
  slice?: number;
  index?: number;
  atMs?: number;
  phase?: string;
  phaseKey?: number;
  award?: AwardType;
}

/** An order for tests; everything that is not named has a default. */
export function anOrder(shape: OrderShape): Order {
  const parts = {
    actId: BigInt(1_000_000 + shape.person) as ActId,
    sceneId: (shape.scene ?? 'cash') as SceneId,
    rainId: (shape.rain ?? 1) as RainId,
    awardType: shape.award ?? 'cash',
    stage: (shape.phase ?? 'live') as PhaseId,
  };
  return {
    orderNumber: formatOrderNumber(parts),
    appId: 1 as AppId,
    actId: parts.actId,
    campaignId: 'gala' as CampaignId,
    phaseId: parts.stage,
    phaseKey: (shape.phaseKey ?? 3) as PhaseKey,
    sceneId: parts.sceneId,
    rainId: parts.rainId,
    awardType: parts.awardType,
    amountFen: BigInt(shape.fen ?? 100) as Fen,
    drawnAtMs: instantMs(shape.atMs ?? 1_800_000_000_000),
    unit: { sliceId: BigInt(shape.slice ?? 1) as SliceId, epoch: 1, index: shape.index ?? shape.person },
  };
}

/** A small seeded generator (mulberry32): the same seed gives the same run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed of a random test: HONGBAO_SEED repeats a run. */
export function testSeed(name: string): number {
  const seed = Number(process.env.HONGBAO_SEED ?? Date.now() % 2 ** 31);
  process.stderr.write(`${name}: seed ${seed} (repeat with HONGBAO_SEED=${seed})\n`);
  return seed;
}

export const shuffled = <Item>(items: readonly Item[], random: () => number): Item[] => {
  const copy = [...items];
  for (let at = copy.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [copy[at], copy[other]] = [copy[other]!, copy[at]!];
  }
  return copy;
};
