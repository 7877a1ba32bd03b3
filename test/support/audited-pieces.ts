import type { AwardRow } from '../../rehearsal/audit/ledger.ts';

// What tests of the auditor hold against one another: order numbers, rows of the ledger, and a campaign of two scenes.

export const TEA = '1000001_tea_1_drinks-coupon_live';
export const LUCK = '1000001_luck_1_greeting_live';
export const CASH = '1000002_cash_1_cash_live';
export const VOUCHER = 'AAAA-BBBB-CCCC';

/** Tea comes from the connector `tea`, luck from nobody. */
const scenes = [
  {
    id: 'tea',
    award: 'drinks-coupon',
    amount: { rule: 'piece', worthFen: 1_900 },
    fulfil: { connector: 'tea', item: 'cup' },
  },
  { id: 'luck', award: 'greeting', amount: { rule: 'piece', worthFen: 0 } },
];
export const catalog = {
  campaigns: [{ campaign_id: 'gala', source: JSON.stringify({ rewards: [{ items: [{ scenes }] }] }) }],
  phases: [{ campaign_id: 'gala', phase_id: 'live', phase_key: 3 }],
};

export const award = (ref: string, state: string, voucher: string | null = null): AwardRow => ({
  act_id: BigInt(ref.split('_')[0]!),
  phase_key: 3,
  ref,
  state,
  voucher,
});
export const fulfilled = award(TEA, 'fulfilled', VOUCHER);
