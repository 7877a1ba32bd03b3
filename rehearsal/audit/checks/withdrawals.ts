import { type Evidence, groupBy, PURSE } from '../evidence.ts';
import type { WithdrawalRow } from '../reading/database.ts';
import type { Notebook } from '../report.ts';

/** Withdrawals, their postings, and the payout's own record say the same. */
export function checkWithdrawals(evidence: Evidence, notebook: Notebook): void {
  const { withdrawals, postings } = evidence.database;
  notebook.saw('withdrawals', withdrawals.length);
  const legs = groupBy(
    postings.filter(({ ref, sliceId }) => sliceId === null && ref.includes(':')),
    ({ ref }) => ref.slice(0, ref.lastIndexOf(':')),
  );
  for (const withdrawal of withdrawals) {
    const is = (legs.get(withdrawal.id) ?? []).map(
      ({ ref, purse, amountFen }) => `${ref.slice(ref.lastIndexOf(':') + 1)} ${purse} ${amountFen}`,
    );
    const { id } = withdrawal;
    notebook.same(
      'I6',
      'withdrawal’s postings do not fit its state',
      id,
      is.sort().join(', '),
      legsOf(withdrawal).sort().join(', '),
    );
    checkPayment(evidence, notebook, withdrawal);
  }
  const known = new Set(withdrawals.map(({ id }) => id));
  for (const id of legs.keys())
    if (!known.has(id)) notebook.find('I6', 'postings of no withdrawal', id, 'no such row');
  for (const [id, payment] of evidence.paymentsBefore ?? [])
    if (!known.has(id)) notebook.find('I1', 'payment without a withdrawal', id, `${payment.amountFen} fen`);
}

function legsOf({ state, amountFen }: WithdrawalRow): string[] {
  const held = [`hold ${PURSE.wallet} ${-amountFen}`, `hold ${PURSE.held} ${amountFen}`];
  if (state === 'paid')
    return [...held, `paid ${PURSE.held} ${-amountFen}`, `paid ${PURSE.paidOut} ${amountFen}`];
  if (state === 'returned')
    return [...held, `returned ${PURSE.held} ${-amountFen}`, `returned ${PURSE.wallet} ${amountFen}`];
  return held;
}

function checkPayment(evidence: Evidence, notebook: Notebook, { id, state, amountFen }: WithdrawalRow): void {
  if (!evidence.paymentsAfter) return;
  const payment = evidence.paymentsAfter.get(id);
  const times = payment?.paidTimes ?? 0;
  if (times > 1) notebook.find('I1', 'withdrawal paid more than once', id, `${times} times`);
  if (state === 'paid' && times === 0)
    notebook.find('I2', 'paid withdrawal without a payment', id, `${amountFen} fen`);
  if (state === 'returned' && times > 0)
    notebook.find('I1', 'returned withdrawal was paid', id, `${amountFen} fen`);
  if (payment) notebook.same('I1', 'payment of another amount', id, payment.amountFen, amountFen);
  if (evidence.settled && (state === 'held' || state === 'paying'))
    notebook.find('I2', 'withdrawal not settled', id, state);
}
