import { describe, expect, it } from 'vitest';
import type { Connector, FulfilAnswer } from '../../src/engines/ports.ts';
import type { Downstream } from '../../src/stations/6-fulfil/fulfiller.ts';
import type { PhaseKey, SceneId } from '../../src/vocabulary/ids.ts';
import { fulfilStage, through } from '../support/fulfil-stage.ts';
import { anOrder } from '../support/orders.ts';
import { pieceCampaign } from '../support/pieces.ts';
import { ledgerFaults, until } from '../support/rig.ts';

describe('handing out pieces, each downstream for itself', { timeout: 60_000 }, () => {
  const {
    clock,
    fatal,
    answers,
    rig,
    viaSandbox,
    startFulfiller,
    grant,
    grants,
    now,
    ended,
    fulfilledOf,
    assertRight,
  } = fulfilStage();

  it('hands out what is its own though another campaign’s scene of the same name waits for one that is away', async () => {
    const phases = pieceCampaign.phases.map((phase) => ({ ...phase, key: (phase.key + 100) as PhaseKey }));
    const tea = pieceCampaign.scenes.get('tea' as SceneId)!;
    const elsewhere = { ...tea, fulfil: { connector: 'tea-house', item: 'tea' } };
    const another = { ...pieceCampaign, phases, scenes: new Map([[tea.id, elsewhere]]) };
    const away = async (): Promise<FulfilAnswer> => ({ answer: 'unknown', reason: 'nobody is there' });
    // More than a look sees, and all of them have waited for longer.
    const others = Array.from({ length: 60 }, (_, at) =>
      anOrder({
        ...{ person: 5_000 + at, scene: 'tea', award: 'drinks-coupon', phaseKey: phases[0]!.key },
        ...{ fen: 1_900, atMs: 1_700_000_000_000 },
      }),
    );
    await rig().ledger.credit(others);
    const one = await grant();
    startFulfiller({
      campaigns: () => [pieceCampaign, another],
      downstream: (name) =>
        name === 'tea-house'
          ? through({ give: away, query: away }, { concurrencyMax: 1 })
          : through({}, { concurrencyMax: 1 }),
    });
    await ended(one);
    expect((await now(one)).state).toBe('fulfilled');
  });

  it('hears what was asked of a downstream to its end before it asks another that took its place', async () => {
    const asked: string[] = [];
    let answer = (_: FulfilAnswer): void => {};
    const old = through({
      give: async ({ orderNumber }) => {
        asked.push(`old ${orderNumber}`);
        return new Promise((resolve) => {
          answer = resolve;
        });
      },
    });
    const next = through({
      give: async ({ orderNumber }) => {
        asked.push(`new ${orderNumber}`);
        return { answer: 'fulfilled', voucher: 'NEW' };
      },
    });
    let current: Downstream | undefined = old;
    const fulfiller = startFulfiller({ downstream: () => current, isSteady: false });
    const one = await grant();
    await until(() => asked.length === 1, 'the old one is asked');
    current = next;
    const other = await grant();
    await until(async () => (await rig().ledger.dueAwards(clock.now(), 10)).length > 0, 'one waits');
    expect(asked).toEqual([`old ${one.orderNumber}`]);
    answer({ answer: 'fulfilled', voucher: 'OLD' });
    await ended(one);
    await ended(other);
    expect([(await now(one)).voucher, (await now(other)).voucher]).toEqual(['OLD', 'NEW']);
    expect(asked).toEqual([`old ${one.orderNumber}`, `new ${other.orderNumber}`]);
    // Taken away: its pieces wait and say why.
    current = undefined;
    await until(() => fulfiller.status()['drinks-shop'] === undefined, 'its lane is closed');
    const last = await grant();
    await until(
      async () => (await now(last)).reason === 'no connector drinks-shop is configured',
      'it says why',
    );
    expect([await ledgerFaults(rig().pool), fatal]).toEqual([[], []]);
  });

  it('lets a downstream that is stuck hold up no other', async () => {
    const stuck = await grants(60, 'tea');
    let asked = 0;
    const silent = (): Promise<FulfilAnswer> => {
      asked += 1;
      return new Promise((resolve) => {
        setTimeout(() => resolve({ answer: 'unknown', reason: 'TimeoutError' }), 400);
      });
    };
    const downstream = (name: string) =>
      name === 'drinks-shop' ? through({ give: silent, query: silent }) : viaSandbox(name);
    startFulfiller({ downstream });
    await until(() => asked > 0, 'the stuck one was asked');
    const others = await grants(10, 'film');
    for (const one of others) await ended(one);
    for (const one of others) await assertRight(one, 'fulfilled');
    expect(await Promise.all(stuck.map(async (one) => (await now(one)).state))).not.toContain('fulfilled');
    expect(asked).toBeLessThan(stuck.length);
  });

  it('leaves a downstream alone that is away, and comes back by itself', async () => {
    let isAway = true;
    let asked = 0;
    const shop: Connector['give'] = async () => {
      asked += 1;
      return isAway ? { answer: 'unknown', reason: 'ECONNREFUSED' } : { answer: 'fulfilled', voucher: 'A-1' };
    };
    const all = await grants(30);
    const fulfiller = startFulfiller({
      downstream: () => through({ give: shop, query: shop }),
      probeMsFirst: 300,
    });
    await until(() => fulfiller.status()['drinks-shop']?.breaker === 'open', 'the breaker is open');
    const before = asked;
    // Some more sweeps: nobody is asked for but by the probe.
    await until(async () => asked > before, 'a probe');
    expect(asked - before).toBeLessThan(4);
    isAway = false;
    for (const one of all) await ended(one);
    expect(await fulfilledOf(all)).toBe(30);
  });

  it('takes what it does not understand for no sign of a downstream being away', async () => {
    const odd: Connector['give'] = async (ask) =>
      ask.item === 'juice'
        ? { answer: 'unknown', reason: 'status 418: no rule fits', isThere: true }
        : { answer: 'fulfilled', voucher: 'A-1' };
    const juices = await grants(20, 'juice');
    const fulfiller = startFulfiller({ downstream: () => through({ give: odd, query: odd }) });
    await until(() => answers.length > 40, 'the odd ones were asked for again and again');
    const tea = await grant('tea');
    await ended(tea);
    expect(fulfiller.status()['drinks-shop']!.breaker).toBe('closed');
    expect((await now(juices[0]!)).state).toBe('asking');
  });

  it('asks no more at once than it may', async () => {
    let asking = 0;
    let most = 0;
    const slow: Connector['give'] = async () => {
      asking += 1;
      most = Math.max(most, asking);
      await new Promise((resolve) => setTimeout(resolve, 10));
      asking -= 1;
      return { answer: 'fulfilled' };
    };
    const all = await grants(30);
    startFulfiller({ downstream: () => through({ give: slow }, { concurrencyMax: 3 }) });
    for (const one of all) await ended(one);
    expect(most).toBe(3);
  });

  it.each([1, 2])('asks no more a second than %d processes may, each for itself', async (processes) => {
    const atMs: number[] = [];
    const timed: Connector['give'] = async () => {
      atMs.push(performance.now());
      return { answer: 'fulfilled' };
    };
    const all = await grants(30 * processes);
    for (let process = 0; process < processes; process += 1)
      startFulfiller({
        downstream: () => through({ give: timed }, { perSecondMax: 20, concurrencyMax: 20 }),
      });
    for (const one of all) await ended(one);
    // More, when one of two lost its claim to this clock, which runs fast.
    expect(atMs.length).toBeGreaterThanOrEqual(30 * processes);
    // At most a second's worth at once, then 20 a second of each.
    expect(atMs.at(-1)! - atMs[0]!).toBeGreaterThan(350);
  });
});
