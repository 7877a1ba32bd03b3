import { beforeEach, describe, expect, it } from 'vitest';
import type { CampaignSnapshot, Phase, RainSeries } from '../../src/campaign/snapshot.ts';
import type { Allotments, BudgetSetting, Slice, SliceLeaseAsk } from '../../src/engines/ports.ts';
import { createDealer, type Dealer } from '../../src/stations/1-play/dealer.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { RainId, SceneId, SliceId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { LIVE_OPENS_MS, testCampaign } from '../support/campaign.ts';
import { quiet } from '../support/postgres.ts';
import { testClock, until } from '../support/rig.ts';

const STARTS_MS = LIVE_OPENS_MS + 60_000;
const cash = 'cash' as SceneId;
const rain = {
  id: 1 as RainId,
  startsAtMs: instantMs(STARTS_MS),
  endsAtMs: instantMs(STARTS_MS + 60_000),
  deals: [{ sceneId: cash, packets: 1_000, budgetFen: 100_000n as Fen }],
};
const series: RainSeries = {
  firstRainId: rain.id,
  startsAtMs: rain.startsAtMs,
  everyMs: 60_000,
  lastsMs: 60_000,
  count: 1,
  deals: rain.deals,
};
const live: Phase = { ...testCampaign.phases[1]!, series: [series] };
const campaign: CampaignSnapshot = { ...testCampaign, phases: [live] };

describe('the dealer, when little is left', () => {
  const clock = testClock();
  let leases: SliceLeaseAsk[];
  let returned: { sliceId: SliceId; fromIndex: number }[];
  let isLow: boolean;
  let isEmpty: boolean;
  let file: CampaignSnapshot;
  let set: BudgetSetting[];
  /** What has passed, whatever the wall clock says. */
  let passedMs: number;
  let dealer: Dealer;
  /** What giving back waits for. */
  let database: Promise<void>;

  beforeEach(() => {
    leases = [];
    returned = [];
    [file, set] = [campaign, []];
    [isLow, isEmpty, passedMs] = [false, false, 0];
    database = Promise.resolve();
    clock.set(STARTS_MS - 1_000);
    const allotments: Pick<Allotments, 'setBudgets' | 'lease' | 'returnTail'> = {
      setBudgets: async (lines) => void set.push(...lines),
      async lease(ask): Promise<Slice | undefined> {
        leases.push(ask);
        if (isEmpty) return undefined;
        const packetsFen = Array.from({ length: ask.packetsWanted }, () => 100n as Fen);
        return {
          ...ask,
          sliceId: BigInt(leases.length) as SliceId,
          epoch: 1,
          packetsFen,
          packets: ask.packetsWanted,
          fen: BigInt(ask.packetsWanted * 100) as Fen,
        };
      },
      async returnTail({ sliceId }, fromIndex) {
        returned.push({ sliceId, fromIndex });
        await database;
      },
    };
    dealer = createDealer({
      allotments: allotments as Allotments,
      campaigns: () => [file],
      holder: 'test',
      clock: { ...clock, monotonicMs: () => passedMs },
      logger: quiet,
      onLeased: () => {},
      isLow: () => isLow,
    });
  });
  /** Ms since the round began; by the wall clock, which may be set to another time. */
  const move = (ms: number, wallMs = ms) => {
    clock.set(STARTS_MS + wallMs);
    passedMs = 1_000 + ms;
  };
  const at = (ms: number, wallMs = ms) => {
    move(ms, wallMs);
    return dealer.maintain();
  };
  const shake = () => dealer.deal(live, rain, cash);

  it('sets a round’s budget once for each file, also when the round is on', async () => {
    await dealer.maintain();
    await at(1_000);
    expect(set).toMatchObject([{ total: { packets: 1_000 }, version: campaign.version }]);
    const version = campaign.version + 1;
    const deals = [{ ...rain.deals[0]!, packets: 500 }];
    file = { ...campaign, version, phases: [{ ...live, series: [{ ...series, deals }] }] };
    for (let shakes = 0; shakes < 100; shakes += 1) shake();
    await at(30_000);
    await at(31_000);
    expect(set.slice(1)).toMatchObject([{ total: { packets: 500 }, version }]);
  });

  /** Somebody got a packet half a second into the round. */
  const shakenOnce = async () => {
    await dealer.maintain();
    await at(0);
    move(500);
    expect(shake()).toBeDefined();
  };

  it('keeps what it leased ahead of the round, and says when dealing begins', async () => {
    isLow = true;
    await dealer.maintain();
    expect(leases).toMatchObject([{ dealFromMs: STARTS_MS, dealUntilMs: STARTS_MS + 30_000 }]);
    await at(900);
    expect(returned).toEqual([]);
  });

  it('gives back what nobody shakes for, and leases again when somebody does', async () => {
    isLow = true;
    await shakenOnce();
    await at(1_400);
    expect(returned).toEqual([]);
    await at(1_600);
    expect(returned).toEqual([{ sliceId: 1n, fromIndex: 1 }]);
    const before = leases.length;
    await at(5_000);
    expect(leases).toHaveLength(before);
    expect(shake()).toBeUndefined();
    await at(5_100);
    expect(leases.length).toBe(before + 1);
    expect(shake()).toBeDefined();
  });

  it('gives back what nobody shakes for, also when the clock was set back meanwhile', async () => {
    isLow = true;
    await shakenOnce();
    await at(1_499, 100);
    expect(returned).toEqual([]);
    await at(1_500, 100);
    expect(returned).toEqual([{ sliceId: 1n, fromIndex: 1 }]);
  });

  it('gives every slice back at once when it leaves, also while the database is silent', async () => {
    const [cashScene] = testCampaign.scenes.values();
    const scenes = ['cash', 'tea'] as SceneId[];
    const deals = scenes.map((sceneId) => ({ ...rain.deals[0]!, sceneId }));
    file = {
      ...campaign,
      scenes: new Map(scenes.map((id) => [id, { ...cashScene!, id }])),
      phases: [{ ...live, series: [{ ...series, deals }] }],
    };
    await at(0);
    expect(leases).toHaveLength(2);
    let answers = () => {};
    database = new Promise((resolve) => {
      answers = resolve;
    });
    const stopped = dealer.stop();
    await until(() => returned.length === 2, 'both are on their way');
    answers();
    await stopped;
  });

  it('keeps what nobody shakes for while there is plenty', async () => {
    await dealer.maintain();
    await at(20_000);
    expect(returned).toEqual([]);
    await at(30_000);
    expect(returned).toEqual([{ sliceId: 1n, fromIndex: 0 }]);
  });

  it('asks an empty budget again after a second, also when the clock was set back meanwhile', async () => {
    isEmpty = true;
    await at(20_000);
    expect(leases).toHaveLength(1);
    isEmpty = false;
    await at(20_999, 5_000);
    expect(leases).toHaveLength(1);
    await at(21_000, 5_000);
    expect(leases).toHaveLength(2);
  });
});
