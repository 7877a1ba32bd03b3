import { expect, it } from 'vitest';
import type { CampaignSnapshot } from '../../src/campaign/snapshot.ts';
import type { Player } from '../../src/guard/player.ts';
import { createMac, createSealbox } from '../../src/guard/sealbox.ts';
import { isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import { createPlay, type PlayDeps } from '../../src/stations/1-play/play.ts';
import { createGranter, type Granted } from '../../src/stations/3-grant/grant.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, AppId, RainId, SceneId, SliceId, SponsorId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import type { OrderNumber } from '../../src/vocabulary/order-number.ts';
import type { Person } from '../../src/vocabulary/person.ts';
import { LIVE_OPENS_MS, testCampaign } from '../support/campaign.ts';
import { NOBODY_KNOWS } from '../support/credited-wins.ts';
import { CREDENTIAL, createGrantWorld, type GrantWorld } from '../support/grants.ts';

const NIGHT_MS = LIVE_OPENS_MS + 1_000;
const [elder, younger, stranger] = [11n, 12n, 13n] as [ActId, ActId, ActId];
const alone = (actId: ActId, app = 1): Player => ({ appId: app as AppId, actId, aliases: [] });
const joined = (app: number): Player => ({ appId: app as AppId, actId: elder, aliases: [younger] });

// ─────────── grants of services upstream ───────────

interface Ask {
  readonly app: number;
  readonly person: Person;
  readonly scene?: string;
  readonly rain?: number;
  readonly drawnAtMs?: number;
}
const grant = (world: GrantWorld, ask: Ask) =>
  world.upstream().grant(CREDENTIAL, {
    campaign: world.campaign,
    scene: world.campaign.scenes.get((ask.scene ?? 'cash') as SceneId)!,
    rainId: (ask.rain ?? 1) as RainId,
    appId: ask.app as AppId,
    person: ask.person,
    amountFen: undefined,
    drawnAtMs: ask.drawnAtMs === undefined ? undefined : instantMs(ask.drawnAtMs),
  });
const granted = async (world: GrantWorld, ask: Ask): Promise<Granted> => {
  const answer = await grant(world, ask);
  if (isRefusal(answer)) throw new Error(`${answer.refused}: ${answer.detail}`);
  return answer;
};

it('after a join each app goes on getting its own first answer, and what only one had is the other’s too', async () => {
  const world = createGrantWorld();
  const first = await granted(world, { app: 1, person: alone(elder) });
  const second = await granted(world, { app: 2, person: alone(younger) });
  const onlyYounger = await granted(world, { app: 2, person: alone(younger), rain: 2 });
  expect(world.log.length).toBe(3);
  const again = async (app: number, rain = 1) => {
    const answer = await granted(world, { app, person: joined(app), rain });
    return [answer.order.orderNumber, answer.replayed];
  };
  expect(await again(1)).toEqual([first.order.orderNumber, true]);
  expect(await again(2)).toEqual([second.order.orderNumber, true]);
  expect(await again(1, 2)).toEqual([onlyYounger.order.orderNumber, true]);
  expect(await again(2, 2)).toEqual([onlyYounger.order.orderNumber, true]);
  // New ones are of the person; the second app's ask is the same one.
  const fresh = await granted(world, { app: 2, person: joined(2), rain: 3 });
  expect([fresh.order.actId, fresh.replayed]).toEqual([elder, false]);
  expect(await again(1, 3)).toEqual([fresh.order.orderNumber, true]);
  expect(world.log.length).toBe(4);
  await world.restart();
  expect(await again(2)).toEqual([second.order.orderNumber, true]);
  expect(world.log.length).toBe(4);
});

it('a consolation that an alias got instead is the answer to the person, too', async () => {
  const world = createGrantWorld();
  world.stock.set('first', 0);
  const comfort = await granted(world, { app: 2, person: alone(younger), scene: 'first' });
  world.stock.set('first', 5);
  const again = await granted(world, { app: 1, person: joined(1), scene: 'first' });
  expect([again.order.orderNumber, again.order.insteadOf]).toEqual([comfort.order.orderNumber, 'first']);
});

it('what the same app names anew is a conflict, what another app names is not', async () => {
  const world = createGrantWorld();
  const drawnAtMs = world.clock.now() - 5;
  const first = await granted(world, { app: 1, person: joined(1), drawnAtMs });
  const other = { drawnAtMs: drawnAtMs - 1 };
  expect(await grant(world, { app: 1, person: joined(1), ...other })).toMatchObject({
    refused: 'order-conflict',
  });
  const answer = await granted(world, { app: 2, person: joined(2), ...other });
  expect(answer.order.orderNumber).toBe(first.order.orderNumber);
});

it('while an alias can’t be looked up nothing is granted anew: no key would stop a second one', async () => {
  const world = createGrantWorld();
  await granted(world, { app: 2, person: alone(younger) });
  await world.restart();
  world.setBookAway(true);
  await expect(grant(world, { app: 1, person: joined(1) })).rejects.toThrow(RetryableFault);
  // Somebody of one id is held to it by the order number's key, as ever.
  expect((await granted(world, { app: 1, person: alone(stranger) })).replayed).toBe(false);
  world.setBookAway(false);
  expect((await granted(world, { app: 1, person: joined(1) })).replayed).toBe(true);
  expect(world.log.length).toBe(2);
});

it('asks at the same moment through both apps, before and after the join, are granted once for the person', async () => {
  const world = createGrantWorld();
  const answers = await Promise.all([
    granted(world, { app: 1, person: joined(1) }),
    granted(world, { app: 2, person: joined(2) }),
    granted(world, { app: 2, person: joined(2) }),
  ]);
  expect(new Set(answers.map(({ order }) => order.orderNumber)).size).toBe(1);
  expect(world.log.length).toBe(1);
  // One that began before the join is waited for.
  const [before, after] = await Promise.all([
    granted(world, { app: 2, person: alone(younger), rain: 2 }),
    granted(world, { app: 1, person: joined(1), rain: 2 }),
  ]);
  expect(after.order.orderNumber).toBe(before.order.orderNumber);
});

it('a cap counts what was won under all ids', async () => {
  const world = createGrantWorld();
  const { order } = await granted(world, { app: 1, person: alone(elder), rain: 1 });
  await granted(world, { app: 2, person: alone(younger), rain: 2 });
  const cash = world.campaign.scenes.get(order.sceneId)!;
  const granter = createGranter({
    fateOf: async () => 'unknown',
    creditedWins: NOBODY_KNOWS,
    book: world.book(),
    campaign: () => ({ ...world.campaign, scenes: new Map([[cash.id, { ...cash, personPacketsMax: 2 }]]) }),
    promise: async () => ({ token: new Uint8Array() }),
    promisedAt: () => Promise.reject(new Error('nothing was granted before')),
    sliceIsOpen: async () => true,
  });
  const third: Order = {
    ...order,
    rainId: 3 as RainId,
    orderNumber: order.orderNumber.replace('_1_', '_3_') as OrderNumber,
  };
  expect(await granter.grant(third, undefined, joined(1))).toMatchObject({ refused: 'person-cap-reached' });
  expect(await granter.grant(third, undefined, alone(elder))).toMatchObject({ replayed: false });
});

// ─────────── shaking ───────────

const [cashScene] = testCampaign.scenes.values();
const [gray, live] = testCampaign.phases;
const SCENES = ['cash', 'tea', 'rice', 'salt'] as SceneId[];
const campaign: CampaignSnapshot = {
  ...testCampaign,
  apps: new Map([1, 2].map((id) => [id as AppId, { id: id as AppId, name: `app${id}` }])),
  limits: { packets: 3, packetsPerSponsor: 3 },
  sponsors: new Map([
    ['panda' as SponsorId, { id: 'panda' as SponsorId, name: { zh: '熊猫', en: 'Panda' }, greetings: [] }],
  ]),
  scenes: new Map(SCENES.map((id) => [id, { ...cashScene!, id }])),
  phases: [
    gray!,
    {
      ...live!,
      series: [
        {
          firstRainId: 7 as RainId,
          startsAtMs: instantMs(LIVE_OPENS_MS),
          everyMs: 10_000,
          lastsMs: 10_000,
          count: 1,
          deals: SCENES.map((sceneId) => ({ sceneId, packets: 100, budgetFen: 10_000n as Fen })),
        },
      ],
    },
  ],
};

/** A gateway over the grant world's book. */
function gateway(world: GrantWorld, personsAsked: Person[] = []) {
  let index = 0;
  const grantOf: PlayDeps['grant'] = async (order, _, person) => {
    personsAsked.push(person);
    return world.granter().grant(order, undefined, person);
  };
  return createPlay({
    creditedWins: NOBODY_KNOWS,
    dealer: {
      start() {},
      stop: async () => {},
      maintain: async () => {},
      deal() {
        index += 1;
        const unit = { sliceId: 1n as SliceId, epoch: 1, index };
        return { unit, amountFen: 100n as Fen, grantUntilMs: instantMs(NIGHT_MS + 60_000) };
      },
    },
    clock: { now: () => instantMs(NIGHT_MS), monotonicMs: () => 0 },
    random: () => 0,
    book: world.book(),
    tickets: createSealbox(Buffer.alloc(32, 1), 'hongbao.ticket.v1'),
    claims: createMac(Buffer.alloc(32, 2), 'hongbao.claim.v1'),
    grant: grantOf,
    granted: (order, who) => world.granter().recall(order, who),
  });
}

async function shake(play: ReturnType<typeof gateway>, player: Player, claim: Uint8Array = new Uint8Array()) {
  const answer = await play.shake(player, campaign, claim);
  if (isRefusal(answer)) throw new Error(answer.refused);
  return answer;
}

it('a ticket that was dealt to an alias is opened by the person after the join, and by nobody else', async () => {
  const world = createGrantWorld();
  const persons: Person[] = [];
  const play = gateway(world, persons);
  const { prize } = await shake(play, alone(younger, 2));
  if (prize.prize !== 'ticket') throw new Error(prize.prize);
  expect(await play.open(alone(stranger), campaign, prize.ticket)).toMatchObject({
    refused: 'ticket-foreign',
  });
  expect(await play.open(alone(elder), campaign, prize.ticket)).toMatchObject({ refused: 'ticket-foreign' });
  const opened = await play.open(joined(1), campaign, prize.ticket);
  const again = await play.open(joined(2), campaign, prize.ticket);
  if (isRefusal(opened) || isRefusal(again)) throw new Error('refused');
  expect(again.orderNumber).toBe(opened.orderNumber);
  expect(opened.orderNumber.startsWith(`${younger}_`)).toBe(true);
  expect(persons[0]).toMatchObject({ actId: elder, aliases: [younger] });
  expect(world.log.length).toBe(1);
});

it('a claim record of an alias is taken from the person after the join, and from nobody else', async () => {
  const world = createGrantWorld();
  const { claimRecord } = await shake(gateway(world), alone(younger, 2));
  expect((await shake(gateway(world), joined(1), claimRecord)).prize.prize).toBe('ticket');
  for (const other of [alone(stranger), alone(elder)])
    expect(await gateway(world).shake(other, campaign, claimRecord!)).toMatchObject({
      refused: 'claim-invalid',
    });
});

it('what a gateway dealt to both ids counts together after the join, opened or not', async () => {
  const world = createGrantWorld();
  const play = gateway(world);
  const tickets = async (player: Player, shakes: number) => {
    let count = 0;
    for (let at = 0; at < shakes; at += 1)
      if ((await shake(play, player)).prize.prize === 'ticket') count += 1;
    return count;
  };
  expect(await tickets(alone(elder), 1)).toBe(1);
  expect(await tickets(alone(younger, 2), 1)).toBe(1);
  // Three in all; and not again of the scene that either has in this round.
  expect(await tickets(joined(1), 6)).toBe(1);
  expect(await tickets(joined(2), 6)).toBe(0);
});
