import { expect, it } from 'vitest';
import type { CampaignSnapshot } from '../../src/campaign/snapshot.ts';
import type { TokenBook } from '../../src/engines/ports.ts';
import { createMac, createSealbox } from '../../src/guard/sealbox.ts';
import { isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import type { Dealer } from '../../src/stations/1-play/dealer.ts';
import { createPlay } from '../../src/stations/1-play/play.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { RainId, SceneId, SliceId, SponsorId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { LIVE_OPENS_MS, playerOf, testCampaign } from '../support/campaign.ts';
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

/** A gateway without a book: all that it knows is its own memory and what the phone carries. */
function gateway(nowMs = NIGHT_MS) {
  const clock = testClock(nowMs);
  const away = () => Promise.reject(new RetryableFault('book-unavailable', 'away', 1));
  let index = 0;
  const dealer: Dealer = {
    start() {},
    stop: async () => {},
    maintain: async () => {},
    deal() {
      index += 1;
      return {
        unit: { sliceId: 1n as SliceId, epoch: 1, index },
        amountFen: 100n as Fen,
        grantUntilMs: instantMs(NIGHT_MS + 60_000),
      };
    },
  };
  return createPlay({
    dealer,
    clock,
    random: () => 0.99,
    book: { winsOf: away, outstandingOf: away } as unknown as TokenBook,
    tickets: createSealbox(Buffer.alloc(32, 1), 'hongbao.ticket.v1'),
    claims: createMac(Buffer.alloc(32, 2), 'hongbao.claim.v1'),
    grant: away,
    granted: away,
  });
}

it('what a person won in this round is not dealt to them again at another gateway, though the book is away', async () => {
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
