import { expect, it } from 'vitest';
import { testCampaign } from '../../../test/support/campaign.ts';
import { DRAWN_AT_MS } from '../../../test/support/reissue.ts';
import type { ReissueLineDue } from '../../engines/ports.ts';
import { refuse } from '../../protocol/failures.ts';
import type { ActId, AppId, PhaseKey, RainId, SceneId } from '../../vocabulary/ids.ts';
import { instantMs } from '../../vocabulary/instant.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { Person } from '../../vocabulary/person.ts';
import { askForLine } from './ask.ts';

const person: Person = { actId: 7n as ActId, aliases: [9n as ActId] };
const line: ReissueLineDue = {
  line: 2,
  campaignId: testCampaign.id,
  sceneId: 'cash' as SceneId,
  rainId: 1 as RainId,
  appId: 1 as AppId,
  actId: 7n as ActId,
  phaseKey: 3 as PhaseKey,
  amountFen: undefined,
  drawnAtMs: instantMs(DRAWN_AT_MS),
  orderNumber: '7_cash_1_cash_live' as OrderNumber,
  askedBefore: false,
  givenBefore: true,
};

it('what an alias was given is the person’s: credited, it is not asked for; else asked for with every id', async () => {
  const asked: Person[] = [];
  const ask = (credited: string) =>
    askForLine(
      {
        campaign: () => testCampaign,
        personOf: async () => person,
        isCredited: async (_actId, _phaseKey, orderNumber) => orderNumber === credited,
        grant: async (_, { person: who }) => {
          asked.push(who);
          return refuse('budget-exhausted', 'nothing left');
        },
      },
      line,
    );
  expect(await ask('9_cash_1_cash_live')).toEqual({
    answer: 'settled',
    settled: { line: 2, outcome: 'already' },
  });
  expect(asked).toEqual([]);
  expect(await ask('none')).toMatchObject({ answer: 'exhausted' });
  expect(asked).toEqual([person]);
});
