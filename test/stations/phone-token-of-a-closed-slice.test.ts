import { afterAll, beforeAll, expect, it } from 'vitest';
import { createReclaimer } from '../../src/control/reclaim.ts';
import { isRefusal } from '../../src/protocol/failures.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { SceneId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { playerOf, testCampaign } from '../support/campaign.ts';
import { openMoney } from '../support/money.ts';
import { anOrder } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { type Rig, startRig, testClock } from '../support/rig.ts';
import { creditorOver, granterOver } from '../support/stations.ts';

const { key: phaseKey } = testCampaign.phases[1]!;
const clock = testClock();
let rig: Rig;

beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.stop());

/**
 * The phone has a token that we sealed, the server has no record of it, and its slice was closed: its packet is back
 * in the budget. Promised again straight into the log, it would be shown, could be withdrawn while a backlog stands
 * before it, and the packet would be paid twice (I4); later it would be voided, and the balance would fall (I3). So
 * it is promised through 3-grant, which knows the open slices.
 */
it('a phone’s token of a closed slice is neither shown nor paid, and its packet stays in the budget', async () => {
  const promises = await rig.journal('closed-slice');
  const line = { phaseKey, sceneId: 'cash' as SceneId, rainId: undefined };
  const total = { packets: 1, fen: 100n as Fen };
  await rig.allotments.setBudgets([{ ...line, total, packetCapFen: 1_000n as Fen, rule: 'split' }]);
  const slice = await rig.allotments.lease({
    ...line,
    holder: 'test',
    packetsWanted: 1,
    dealUntilMs: instantMs(1),
    grantUntilMs: instantMs(2),
  });
  const granter = granterOver(promises, () => testCampaign);
  granter.acceptSlice(slice!.sliceId);
  const crediting = creditorOver(promises, rig.ledger, clock);
  crediting.start();
  const reclaimer = createReclaimer({
    allotments: rig.allotments,
    logs: [promises.log],
    ledger: rig.ledger,
    refuseSlice: granter.refuseSlice,
    clock,
    logger: quiet,
    marginMs: 0,
    intervalMs: 1_000,
  });
  expect(await reclaimer.sweepOnce()).toBe(1);

  // A backlog that stands before whatever is promised now.
  crediting.setRate(0);
  const backlog = Array.from({ length: 3_000 }, (_, at) => anOrder({ person: 5_000 + at, slice: 999 }));
  for (let at = 0; at < backlog.length; at += 500) await promises.promise(backlog.slice(at, at + 500));
  const end = promises.log.end();

  const money = await openMoney({
    rig,
    promises: () => promises,
    clock,
    keys: rig.folder('keys'),
    repromise: async (order) => {
      const granted = await granter.grant(order);
      return isRefusal(granted) ? granted : undefined;
    },
  });
  const order = anOrder({ person: 1, slice: Number(slice!.sliceId), index: 0, fen: 100 });
  const tokens = [money.tokenOf(order)];
  expect(await money.wallet.overview(playerOf(1), testCampaign, tokens)).toMatchObject({
    balanceFen: 0n,
    refusedTokens: [{ index: 0, code: 'slice-fenced' }],
  });
  const ask = { amountFen: 100n as Fen, idempotencyKey: 'k', tokens };
  const held = await money.withdrawals.request(playerOf(1), testCampaign, ask);
  expect(isRefusal(held) && held.refused).toBe('insufficient-balance');
  expect(money.unrecorded.count).toBe(2);
  expect(promises.log.end()).toBe(end);
  expect((await rig.allotments.budgets(phaseKey))[0]!.remaining).toEqual(total);
  expect(await rig.ledger.sliceTally(phaseKey, slice!.sliceId)).toEqual({ packets: 0, fen: 0n });
  await crediting.stop();
  await promises.log.close();
});
