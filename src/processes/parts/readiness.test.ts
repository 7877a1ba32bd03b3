import { expect, it } from 'vitest';
import type { GrantLog } from '../../engines/ports.ts';
import { readinessOf } from './readiness.ts';

const log = (reason?: string) =>
  ({
    health: () => (reason === undefined ? { accepting: true } : { accepting: false, reason }),
  }) as unknown as GrantLog;
const appendLocally = async () => 1;

/** docs/operations.md, "Watching it". */
it.each`
  what                                      | stopping | players  | campaign | stores                                    | reason
  ${'a gateway with a campaign'}            | ${false} | ${true}  | ${true}  | ${{ logs: [log()] }}                      | ${undefined}
  ${'one that is stopping'}                 | ${true}  | ${true}  | ${true}  | ${{ logs: [log()] }}                      | ${'stopping'}
  ${'one without a campaign'}               | ${false} | ${true}  | ${false} | ${{ logs: [log()] }}                      | ${'no campaign is in force; apply one'}
  ${'one whose only journal takes nothing'} | ${false} | ${true}  | ${true}  | ${{ logs: [log('full')] }}                | ${'full'}
  ${'one of a cluster without its log'}     | ${false} | ${true}  | ${true}  | ${{ logs: [log('gone')], appendLocally }} | ${undefined}
  ${'a creditor, whatever its log says'}    | ${false} | ${false} | ${false} | ${{ logs: [log('full')] }}                | ${undefined}
`('$what is ready, or says why not', ({ stopping, players, campaign, stores, reason }) => {
  const now = { isStopping: stopping, servesPlayers: players, hasCampaign: campaign, stores };
  expect(readinessOf(now)).toEqual(reason === undefined ? { ready: true } : { ready: false, reason });
});
