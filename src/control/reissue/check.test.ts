import { expect, it } from 'vitest';
import { testCampaign } from '../../../test/support/campaign.ts';
import { DRAWN_AT_MS } from '../../../test/support/reissue.ts';
import type { OrderName, ReissueLineUnchecked } from '../../engines/ports.ts';
import type { ActId, AppId, RainId, SceneId } from '../../vocabulary/ids.ts';
import { instantMs } from '../../vocabulary/instant.ts';
import { checkLines } from './check.ts';

const lineOf = (line: number, sceneId = 'cash'): ReissueLineUnchecked => ({
  line,
  campaignId: testCampaign.id,
  sceneId: sceneId as SceneId,
  rainId: 1 as RainId,
  appId: 1 as AppId,
  userKey: Buffer.from(`user ${line}`),
  amountFen: undefined,
  drawnAtMs: instantMs(DRAWN_AT_MS),
});

it('asks once for all: who they are, and what each has under any id; each line gets its own answer', async () => {
  const asked: [number, readonly OrderName[]][] = [];
  const lines = [lineOf(2), lineOf(3, 'gone'), ...Array.from({ length: 998 }, (_, n) => lineOf(4 + n))];
  const checked = await checkLines(
    {
      campaign: () => testCampaign,
      // Every tenth line is about somebody with an older id for another app.
      personsFor: async (users) =>
        users.map(({ userKey }) => {
          const line = Number(userKey.toString().slice('user '.length));
          return {
            person: {
              actId: BigInt(line) as ActId,
              aliases: line % 10 === 0 ? [BigInt(line + 100_000) as ActId] : [],
            },
          };
        }),
      areGiven: async (orders) => {
        asked.push([orders.length, orders]);
        return orders.map(({ actId }) => actId === 5n || actId === 100_020n);
      },
    },
    lines,
  );
  expect(asked.map(([count]) => count)).toEqual([999 + 100]);
  expect(checked.map(({ line }) => line)).toEqual(lines.map(({ line }) => line));
  expect(checked[1]).toEqual({ line: 3, wrong: expect.stringContaining('campaign was changed') });
  expect(checked.filter((one) => 'before' in one && one.before).map(({ line }) => line)).toEqual([5, 20]);
  expect(checked[18]).toMatchObject({ line: 20, actId: 20n, orderNumber: '20_cash_1_cash_live' });
});
