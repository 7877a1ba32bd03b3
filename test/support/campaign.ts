import type { CampaignSnapshot, Phase, PhaseKind, Scene } from '../../src/campaign/snapshot.ts';
import type { Player } from '../../src/guard/player.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type {
  ActId,
  AppId,
  CampaignId,
  PhaseId,
  PhaseKey,
  SceneId,
  SponsorId,
} from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';

/** When the phases of the test campaign change, in ms. */
export const GRAY_OPENS_MS = 1_799_000_000_000;
export const LIVE_OPENS_MS = 1_799_900_000_000;
export const LIVE_CLOSES_MS = 1_900_000_000_000;

const BUDGET = { fen: 1_000_000n as Fen, packets: 10_000 };

const scene: Scene = {
  id: 'cash' as SceneId,
  rewardId: 'cash',
  itemId: 'cash',
  award: 'cash',
  sponsorId: 'panda' as SponsorId,
  amount: { rule: 'split' },
  packetCapFen: 100_000n as Fen,
  personPacketsMax: 1_000,
  budget: BUDGET,
  bill: { zh: '红包雨', en: 'Packet rain' },
  fulfil: undefined,
  consolation: undefined,
  flags: { compensate: true, stockControlled: true, reconcile: true },
};

const phase = (id: string, key: number, kind: PhaseKind, opensAtMs: number, closesAtMs: number): Phase => ({
  id: id as PhaseId,
  key: key as PhaseKey,
  kind,
  opensAtMs: instantMs(opensAtMs),
  closesAtMs: instantMs(closesAtMs),
  audiencePermille: 1_000,
  budgets: new Map([[scene.id, BUDGET]]),
  series: [],
});

/** The campaign that `anOrder` (orders.ts) makes orders of: a gray drill under key 2, then the night under key 3. */
export const testCampaign: CampaignSnapshot = {
  id: 'gala' as CampaignId,
  version: 1,
  contentHash: '',
  title: { zh: '红包之夜', en: 'Gala' },
  apps: new Map([[1 as AppId, { id: 1 as AppId, name: 'demo' }]]),
  limits: { packets: 1_000, packetsPerSponsor: 1_000 },
  ticketTtlMs: 60_000,
  sponsors: new Map(),
  scenes: new Map([[scene.id, scene]]),
  levels: [],
  phases: [
    phase('gray', 2, 'gray-drill', GRAY_OPENS_MS, LIVE_OPENS_MS),
    phase('live', 3, 'live', LIVE_OPENS_MS, LIVE_CLOSES_MS),
  ],
};

/** The person of `anOrder({ person })`. */
export const playerOf = (person: number): Player => ({
  appId: 1 as AppId,
  actId: BigInt(1_000_000 + person) as ActId,
  aliases: [],
});
