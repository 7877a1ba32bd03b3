import { describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/protocol/failures.ts';
import { askOf, createGrantWorld } from '../support/grants.ts';

/** The test campaign's scenes give a person so many packets (test/support/campaign.ts). */
const PERSON_PACKETS = 1_000;

describe('caps of upstream grants, asked for at once', () => {
  it.each(['cash', 'given', 'shop-coupon', 'greeting'])(
    'a person has at most what the cap says of %s, and what was refused stays in stock',
    async (scene) => {
      const world = createGrantWorld({ pause: async () => {} });
      world.stock.set(scene, 5_000);
      const amount = scene === 'given' ? { amountFen: 100 } : {};
      const answers = await Promise.all(
        Array.from({ length: PERSON_PACKETS + 40 }, (_, at) =>
          askOf(world, { scene, rain: at + 1, ...amount }),
        ),
      );
      expect(answers.filter((answer) => !isRefusal(answer))).toHaveLength(PERSON_PACKETS);
      const refused = answers.flatMap((answer) => (isRefusal(answer) ? [answer.refused] : []));
      expect(new Set(refused)).toEqual(new Set(['person-cap-reached']));
      expect(world.log).toHaveLength(PERSON_PACKETS);
      expect(world.stock.get(scene)).toBe(5_000 - PERSON_PACKETS);
    },
  );

  it('no packet is over the cap of its scene, and a piece is worth what its scene says', async () => {
    const world = createGrantWorld();
    const cap = Number(world.campaign.scenes.get('given' as never)!.packetCapFen);
    const answers = await Promise.all(
      [cap, cap + 1, cap + 2].map((amountFen, at) =>
        askOf(world, { scene: 'given', rain: at + 1, amountFen }),
      ),
    );
    expect(answers.map((answer) => isRefusal(answer) && answer.refused)).toEqual([
      false,
      'amount-over-cap',
      'amount-over-cap',
    ]);
    const piece = await askOf(world, { scene: 'second' });
    expect(isRefusal(piece) || piece.order.amountFen).toBe(300n);
    expect(world.stock.get('given')).toBe(999);
  });
});
