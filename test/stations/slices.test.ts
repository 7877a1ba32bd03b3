import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Scene } from '../../src/campaign/snapshot.ts';
import type { Allotments } from '../../src/engines/ports.ts';
import { isRefusal, RetryableFault, refuse } from '../../src/protocol/failures.ts';
import { createSceneSlices, type Payment, type SceneSlices } from '../../src/stations/3-grant/slices.ts';
import { createStock } from '../../src/stations/3-grant/stock.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { PhaseKey, SceneId, SliceId } from '../../src/vocabulary/ids.ts';
import { testCampaign } from '../support/campaign.ts';
import { quiet } from '../support/postgres.ts';
import { type Rig, startRig, testClock } from '../support/rig.ts';

const START_MS = 1_800_000_000_000;
const cash = testCampaign.scenes.get('cash' as SceneId)!;
const named: Scene = { ...cash, id: 'named' as SceneId, amount: { rule: 'given' } };

describe('slices of scenes', () => {
  let rig: Rig;
  let phaseKey: PhaseKey;
  let phases = 0;
  let monotonicMs = 0;
  const moving = testClock(START_MS);
  const clock = { now: moving.now, monotonicMs: () => monotonicMs };

  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig.stop());
  beforeEach(() => {
    phases += 1;
    phaseKey = phases as PhaseKey;
    at(0);
  });

  function at(ms: number): void {
    moving.set(START_MS + ms);
    monotonicMs = ms;
  }
  const setTotal = (scene: Scene, packets: number, fen: number) =>
    rig.allotments.setBudgets([
      {
        phaseKey,
        sceneId: scene.id,
        rainId: undefined,
        total: { packets, fen: BigInt(fen) as Fen },
        packetCapFen: 1_000n as Fen,
        rule: scene.amount.rule,
      },
    ]);
  const holder = (
    name: string,
    allotments: Pick<Allotments, 'lease' | 'returnTail'> = rig.allotments,
    accepted: SliceId[] = [],
  ): SceneSlices =>
    createSceneSlices({
      granter: { acceptSlice: (sliceId) => void accepted.push(sliceId) },
      allotments,
      holder: name,
      clock,
      logger: quiet,
      isLow: createStock(rig.allotments, clock).isLow,
    });
  const take = async (slices: SceneSlices, scene = cash, amount?: number): Promise<Payment> => {
    const taken = await slices.take(
      scene,
      phaseKey,
      amount === undefined ? undefined : (BigInt(amount) as Fen),
    );
    if (isRefusal(taken)) throw new Error(taken.detail);
    return taken;
  };
  const left = async () => (await rig.allotments.budgets(phaseKey))[0]!;
  const gone = (slices: SceneSlices, scene = cash, amount?: number) =>
    expect(take(slices, scene, amount)).rejects.toThrow('nothing left');

  it('takes each unit once, however many ask at the same moment, and no more than there are', async () => {
    await setTotal(cash, 250, 25_000);
    const accepted: SliceId[] = [];
    const slices = holder('one', rig.allotments, accepted);
    const answers = await Promise.all(
      Array.from({ length: 300 }, () => slices.take(cash, phaseKey, undefined)),
    );
    const paid = answers.filter((answer) => !isRefusal(answer)) as Payment[];
    expect(paid).toHaveLength(250);
    expect(new Set(paid.map(({ unit }) => `${unit.sliceId}/${unit.index}`)).size).toBe(250);
    expect(paid.reduce((sum, { amountFen }) => sum + amountFen, 0n)).toBe(25_000n);
    expect(paid.every(({ unit }) => accepted.includes(unit.sliceId))).toBe(true);
  });

  it('lets a unit whose grant was refused pay for another, and gives it back with the rest', async () => {
    await setTotal(cash, 20, 2_000);
    const slices = holder('one');
    const taken = [await take(slices), await take(slices), await take(slices)];
    slices.putBack(taken[1]!);
    expect(await take(slices)).toEqual(taken[1]);
    slices.putBack(taken[2]!);
    await slices.stop();
    const fen = taken[0]!.amountFen + taken[1]!.amountFen;
    expect(await left()).toMatchObject({
      leased: { packets: 2, fen },
      remaining: { packets: 18, fen: 2_000n - fen },
    });
  });

  it('leaves a slice that was fenced, and leases another', async () => {
    await setTotal(cash, 20, 2_000);
    const slices = holder('one');
    const fenced = await take(slices);
    slices.putBack(fenced, refuse('slice-fenced', 'closing'));
    expect((await take(slices)).unit.sliceId).not.toBe(fenced.unit.sliceId);
  });

  it('gives back what is left when its time is over, packets and money', async () => {
    await setTotal(named, 1_000, 100_000);
    const slices = holder('one');
    await take(slices, named, 300);
    at(59_999);
    await slices.maintain();
    expect((await left()).leased.packets).toBe(100);
    at(60_000);
    await slices.maintain();
    expect(await left()).toMatchObject({ leased: { packets: 1, fen: 300n } });
    await take(slices, named, 300);
    expect((await left()).leased.packets).toBe(101);
  });

  it('gives back the money that nobody named, once all packets are dealt', async () => {
    await setTotal(named, 4, 4_000);
    const slices = holder('one');
    for (const amount of [10, 20]) await take(slices, named, amount);
    expect((await left()).leased.packets).toBe(2);
    await take(slices, named, 30);
    expect(await left()).toMatchObject({ leased: { packets: 3 } });
    await slices.stop();
    expect(await left()).toMatchObject({
      leased: { packets: 3, fen: 60n },
      remaining: { packets: 1, fen: 3_940n },
    });
  });

  it('keeps idle packets while there is plenty; little is left: they go back, and whoever asks gets them', async () => {
    await setTotal(cash, 100, 10_000);
    const [idle, busy] = [holder('idle'), holder('busy')];
    await take(idle);
    at(2_000);
    await idle.maintain();
    expect((await left()).leased.packets).toBe(50);
    for (let spent = 0; spent < 50; spent += 1) await take(busy);
    await gone(busy);
    // The first look only asks how much is left; from then on it is known.
    at(4_000);
    await idle.maintain();
    await expect
      .poll(async () => {
        await idle.maintain();
        return (await left()).remaining.packets;
      })
      .toBe(49);
    at(5_000);
    for (let spent = 0; spent < 49; spent += 1) await take(busy);
    await gone(busy);
  });

  it('gives idle packets back also when the clock was set back meanwhile', async () => {
    await setTotal(cash, 100, 10_000);
    const [idle, busy] = [holder('idle'), holder('busy')];
    await take(idle);
    for (let spent = 0; spent < 50; spent += 1) await take(busy);
    at(3_000);
    moving.set(START_MS - 3_600_000);
    await expect
      .poll(async () => {
        await idle.maintain();
        return (await left()).remaining.packets;
      })
      .toBe(49);
  });

  it('asks an empty budget again only after a while, and at once for less', async () => {
    await setTotal(named, 10, 100);
    let leases = 0;
    const slices = holder('one', {
      ...rig.allotments,
      lease: (ask) => {
        leases += 1;
        return rig.allotments.lease(ask);
      },
    });
    await gone(slices, named, 500);
    await gone(slices, named, 600);
    expect(leases).toBe(1);
    await take(slices, named, 60);
    expect(leases).toBe(2);
    at(200);
    await gone(slices, named, 500);
    expect(leases).toBe(3);
  });

  it('goes on after an answer that was lost: a return that was done is not done again', async () => {
    await setTotal(cash, 100, 10_000);
    let isLost = true;
    const slices = holder('one', {
      ...rig.allotments,
      async returnTail(...returned) {
        await rig.allotments.returnTail(...returned);
        if (isLost) throw new RetryableFault('ledger-unavailable', 'the answer was lost', 1);
      },
    });
    const first = await take(slices);
    at(60_000);
    const second = await take(slices);
    expect(second.unit.sliceId).not.toBe(first.unit.sliceId);
    isLost = false;
    await slices.stop();
    expect((await left()).leased.packets).toBe(2);
  });
});
