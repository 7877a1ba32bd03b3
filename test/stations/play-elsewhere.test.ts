import { expect, it } from 'vitest';
import type { CampaignSnapshot } from '../../src/campaign/snapshot.ts';
import type { TokenBook } from '../../src/engines/ports.ts';
import { createMac, createSealbox } from '../../src/guard/sealbox.ts';
import { isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import type { Dealer } from '../../src/stations/1-play/dealer.ts';
import { createPlay, type PlayDeps } from '../../src/stations/1-play/play.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { RainId, SceneId, SliceId, SponsorId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { LIVE_OPENS_MS, playerOf, testCampaign } from '../support/campaign.ts';
import { NOBODY_KNOWS } from '../support/credited-wins.ts';
import { testClock } from '../support/rig.ts';

const NIGHT_MS = LIVE_OPENS_MS + 1_000;
const SCENES = ['cash', 'tea'] as SceneId[];
const [cash] = testCampaign.scenes.values();
const [gray, live] = testCampaign.phases;

/** One round after the other, two scenes in each. */
const campaign: CampaignSnapshot = {
  ...testCampaign,
  sponsors: new Map([
    ['panda' as SponsorId, { id: 'panda' as SponsorId, name: { zh: '熊猫', en: 'Panda' }, greetings: [] }],
  ]),
  scenes: new Map(SCENES.map((id) => [id, { ...cash!, id }])),
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
          count: 2,
          deals: SCENES.map((sceneId) => ({ sceneId, packets: 100, budgetFen: 10_000n as Fen })),
        },
      ],
    },
  ],
};

/** A gateway whose book has heard of nothing: all that it knows is its own memory and what the phone carries. */
function gateway(nowMs = NIGHT_MS, dealt: { fen: Fen; grant?: PlayDeps['grant'] } = { fen: 100n as Fen }) {
  const clock = testClock(nowMs);
  const away = () => Promise.reject(new RetryableFault('book-unavailable', 'away', 1));
  const book = { winsOf: async () => [], isWhole: async () => true };
  let index = 0;
  const dealer: Dealer = {
    start() {},
    stop: async () => {},
    maintain: async () => {},
    deal() {
      index += 1;
      return {
        unit: { sliceId: 1n as SliceId, epoch: 1, index },
        amountFen: dealt.fen,
        grantUntilMs: instantMs(NIGHT_MS + 60_000),
      };
    },
  };
  return createPlay({
    dealer,
    clock,
    random: () => 0.99,
    book: book as unknown as TokenBook,
    creditedWins: NOBODY_KNOWS,
    tickets: createSealbox(Buffer.alloc(32, 1), 'hongbao.ticket.v1'),
    claims: createMac(Buffer.alloc(32, 2), 'hongbao.claim.v1'),
    grant: dealt.grant ?? away,
    granted: away,
  });
}

it('what a person won in this round is not dealt to them again at another gateway, though the book has not heard of it', async () => {
  let claimRecord: Uint8Array = new Uint8Array();
  async function ticketsOf(shakes: number, nowMs: number): Promise<number> {
    let tickets = 0;
    for (let at = 0; at < shakes; at += 1) {
      const answer = await gateway(nowMs).shake(playerOf(77), campaign, claimRecord);
      if (isRefusal(answer)) throw new Error(answer.detail);
      if (answer.prize.prize === 'ticket') tickets += 1;
      claimRecord = answer.claimRecord ?? claimRecord;
    }
    return tickets;
  }
  expect(await ticketsOf(5, NIGHT_MS)).toBe(SCENES.length);
  // The next round is another one.
  expect(await ticketsOf(5, NIGHT_MS + 10_000)).toBe(SCENES.length);
});

it.each([1_900n, 0n])('deals a piece worth %s fen as it deals money, with the same caps', async (worth) => {
  const coupon = 'drinks-coupon' as const;
  const scenes = new Map(
    [...campaign.scenes].map(([id, scene]) => [
      id,
      { ...scene, award: coupon, amount: { rule: 'piece' as const, fen: worth as Fen } },
    ]),
  );
  const pieces: CampaignSnapshot = { ...campaign, scenes, limits: { packets: 1, packetsPerSponsor: 1 } };
  const granted: Order[] = [];
  const play = gateway(NIGHT_MS, {
    fen: worth as Fen,
    grant: async (order) => {
      granted.push(order);
      return { order, token: Buffer.from('token'), replayed: false };
    },
  });
  const answer = await play.shake(playerOf(78), pieces, new Uint8Array());
  if (isRefusal(answer) || answer.prize.prize !== 'ticket') throw new Error('no ticket');
  const opened = await play.open(playerOf(78), pieces, answer.prize.ticket);
  expect(opened).toMatchObject({ amountFen: worth, order: { awardType: coupon } });
  expect(granted.map((order) => order.orderNumber)).toEqual([
    expect.stringMatching(/^1000078_(cash|tea)_7_drinks-coupon_live$/),
  ]);
  // It counts as won, for this gateway and, by the record that the phone carries, for every other.
  for (const other of [play, gateway()]) {
    const next = await other.shake(playerOf(78), pieces, answer.claimRecord!);
    expect(isRefusal(next) || next.prize.prize).not.toBe('ticket');
  }
});
