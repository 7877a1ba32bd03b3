import { type Evidence, groupBy, isCredit, PURSE, sumOf } from '../evidence.ts';
import type { Posting } from '../reading/database.ts';
import type { Notebook } from '../report.ts';

const keyOf = ({ actId, phaseKey, purse }: { actId: bigint; phaseKey: number; purse: number }) =>
  `account ${actId} phase ${phaseKey} purse ${purse}`;
const totalOf = (postings: readonly Posting[]): bigint => sumOf(postings.map(({ amountFen }) => amountFen));

/** I6: the books balance, in all and account by account. */
export function checkBalances(evidence: Evidence, notebook: Notebook): void {
  const { postings, accounts, withdrawals } = evidence.database;
  notebook.saw('postings', postings.length);
  notebook.saw('accounts', accounts.length);
  notebook.same('I6', 'postings do not add up to zero', 'ledger', totalOf(postings), 0n);

  const byAccount = groupBy(postings, keyOf);
  const rows = new Set(accounts.map(keyOf));
  for (const [key, [posting]] of byAccount)
    if (posting!.actId > 0n && !rows.has(key))
      notebook.find('I6', 'postings without an account', key, posting!.ref);

  const unsettled = groupBy(
    withdrawals.filter(({ state }) => state === 'held' || state === 'paying'),
    ({ actId, phaseKey }) => keyOf({ actId, phaseKey, purse: PURSE.held }),
  );
  for (const account of accounts) {
    const where = keyOf(account);
    const own = byAccount.get(where) ?? [];
    notebook.same('I6', 'balance is not the sum of its postings', where, account.balanceFen, totalOf(own));
    if (account.balanceFen < 0n) notebook.find('I6', 'negative balance', where, `${account.balanceFen} fen`);
    if (account.purse === PURSE.wallet)
      notebook.same(
        'I6',
        'income is not the sum of its credits',
        where,
        account.incomeFen,
        totalOf(own.filter(isCredit)),
      );
    if (account.purse === PURSE.held) {
      const held = sumOf((unsettled.get(where) ?? []).map(({ amountFen }) => amountFen));
      notebook.same('I6', 'held is not the sum of withdrawals under way', where, account.balanceFen, held);
    }
  }
  checkFunding(evidence, notebook);
}

/** Each slice's account pays exactly what was credited out of it, and counts the orders that it paid for. */
function checkFunding(evidence: Evidence, notebook: Notebook): void {
  const funding = groupBy(
    evidence.database.postings.filter(({ purse }) => purse === PURSE.funding),
    ({ actId }) => `slice ${-actId}`,
  );
  const credits = groupBy(evidence.credits, ({ sliceId }) => `slice ${sliceId}`);
  for (const where of new Set([...funding.keys(), ...credits.keys()])) {
    const paid = funding.get(where) ?? [];
    const got = credits.get(where) ?? [];
    notebook.same('I6', 'slice’s account does not pay its credits', where, -totalOf(paid), totalOf(got));
    const counted = sumOf(paid.map(({ sliceIndex }) => BigInt(sliceIndex ?? 0)));
    notebook.same('I6', 'slice’s account counts its credits wrong', where, counted, BigInt(got.length));
  }
}
