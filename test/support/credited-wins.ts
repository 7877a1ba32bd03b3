import type { CreditedWins } from '../../src/guard/credited-wins.ts';

/** Where no book is ever in doubt, or nobody can stand in for it. */
export const NOBODY_KNOWS: CreditedWins = { beside: async (_actId, _phaseKey, book) => book };
