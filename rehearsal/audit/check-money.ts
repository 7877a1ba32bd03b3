import { checkLines } from './check-lines.ts';
import type { JournalEntry } from './journal.ts';
import type { Books, Catalog, LedgerRows, Posting } from './ledger.ts';
import type { Findings } from './report.ts';
import { orderKey } from './token.ts';

export const WALLET = 1;
const HELD = 2;
const FUNDING = 3;
export const PIECES = 6;

/** Of money and of pieces. What is in a person's purse of pieces came there as one. */
export const creditsOf = (books: LedgerRows): Posting[] =>
  books.postings.filter(
    ({ act_id, purse, slice_id }) =>
      act_id > 0n && ((purse === WALLET && slice_id !== null) || purse === PIECES),
  );

/** Credits are the journal's orders, each once and with its content (I1); in the end, all of them (I2, I8). */
export function checkCredits(
  orders: ReadonlyMap<string, JournalEntry>,
  books: Books,
  /** Read before the books: everything up to it is in them. */
  drained: number,
  settled: boolean,
  findings: Findings,
): { outstanding: number; voided: number } {
  const credited = new Set<string>();
  for (const credit of creditsOf(books)) {
    const key = orderKey(credit.phase_key, credit.ref);
    if (credited.has(key)) findings.add('I1', 'an order was credited twice', credit.ref);
    credited.add(key);
    const entry = orders.get(key);
    if (!entry) {
      findings.add('I8', 'a credit has no promise in the journal', credit.ref);
      continue;
    }
    const { order } = entry;
    const same =
      credit.act_id === order.actId &&
      credit.amount_fen === order.fen &&
      Number(credit.at_ms) === order.drawnAtMs &&
      credit.slice_id === order.sliceId &&
      credit.slice_epoch === order.epoch &&
      credit.slice_index === order.index;
    if (!same) findings.add('I1', 'a credit is not what was promised', credit.ref);
    if (credit.purse !== (order.award === 'cash' ? WALLET : PIECES))
      findings.add('I1', 'a piece was credited as money, or money as a piece', credit.ref);
    if (entry.isVoid) findings.add('I8', 'a void order was credited', credit.ref);
  }
  let outstanding = 0;
  let voided = 0;
  for (const [key, entry] of orders) {
    if (entry.isVoid) voided += 1;
    else if (!credited.has(key)) {
      outstanding += 1;
      if (settled || entry.sequence <= drained)
        findings.add(
          'I2',
          'a promise is not in the ledger',
          entry.order.orderNumber,
          `record ${entry.sequence}, drained ${drained}`,
        );
    }
  }
  return { outstanding, voided };
}

/** Each credited piece is on its way to its person exactly once (I1, I2), and nothing is that was not credited (I8). */
export function checkAwards(books: LedgerRows, findings: Findings): void {
  const keyOf = (row: { act_id: bigint; phase_key: number; ref: string }) =>
    `${row.act_id}/${row.phase_key}/${row.ref}`;
  const awards = new Set<string>();
  for (const award of books.awards) {
    if (awards.has(keyOf(award))) findings.add('I1', 'a piece is to be handed out twice', award.ref);
    awards.add(keyOf(award));
  }
  for (const credit of creditsOf(books))
    if (credit.purse === PIECES && !awards.delete(keyOf(credit)))
      findings.add('I2', 'a credited piece is handed out by nobody', credit.ref);
  for (const key of awards) findings.add('I8', 'a piece is handed out that was never credited', key);
}

/** What each person's purses hold: nothing but the sum of their postings. */
function balancesOf(books: LedgerRows): ReadonlyMap<string, bigint> {
  const balances = new Map<string, bigint>();
  for (const { act_id, phase_key, purse, amount_fen } of books.postings) {
    if (act_id <= 0n) continue;
    const key = `${act_id}/${phase_key}/${purse}`;
    balances.set(key, (balances.get(key) ?? 0n) + amount_fen);
  }
  return balances;
}

/** Double entry (I6): everything sums to zero, and nobody has less than nothing. */
export function checkBalances(books: LedgerRows, findings: Findings, where = 'ledger.posting'): void {
  const total = books.postings.reduce((sum, posting) => sum + posting.amount_fen, 0n);
  if (total !== 0n) findings.add('I6', 'the postings do not sum to zero', where, `${total} fen`);
  for (const [key, balance] of balancesOf(books))
    if (balance < 0n) findings.add('I6', 'a balance is negative', key, `${balance} fen`);
}

/** What is held is what is being withdrawn; every payment is of one withdrawal, and the other way round. */
export function checkWithdrawals(
  books: Books,
  payments: ReadonlyMap<string, { paidTimes: number; amountFen: number }> | undefined,
  settled: boolean,
  findings: Findings,
): void {
  const held = new Map<string, bigint>();
  for (const withdrawal of books.withdrawals) {
    const key = `${withdrawal.act_id}/${withdrawal.phase_key}`;
    if (withdrawal.state === 'held' || withdrawal.state === 'paying')
      held.set(key, (held.get(key) ?? 0n) + withdrawal.amount_fen);
    const payment = payments?.get(withdrawal.id);
    if (!payments) continue;
    if (withdrawal.state === 'paid' && payment?.paidTimes !== 1)
      findings.add(
        'I1',
        'a paid withdrawal has not exactly one payment',
        withdrawal.id,
        `${payment?.paidTimes ?? 0} payments`,
      );
    if (withdrawal.state === 'returned' && (payment?.paidTimes ?? 0) > 0)
      findings.add('I1', 'a returned withdrawal was paid', withdrawal.id);
    if (payment && BigInt(payment.amountFen) !== withdrawal.amount_fen)
      findings.add('I1', 'a payment is of another amount', withdrawal.id);
    if (payment && payment.paidTimes > 1)
      findings.add('I1', 'a withdrawal was paid more than once', withdrawal.id);
  }
  const holding = new Map(
    [...balancesOf(books)].flatMap(([key, balance]) =>
      key.endsWith(`/${HELD}`) ? [[key.slice(0, key.lastIndexOf('/')), balance] as const] : [],
    ),
  );
  for (const person of new Set([...held.keys(), ...holding.keys()])) {
    const [balance, expected] = [holding.get(person) ?? 0n, held.get(person) ?? 0n];
    if (balance !== expected)
      findings.add(
        'I6',
        'what is held is not what is being withdrawn',
        person,
        `${balance}, withdrawals ${expected}`,
      );
  }
  if (!settled) return;
  const known = new Set(books.withdrawals.map((withdrawal) => withdrawal.id));
  for (const [id, payment] of payments ?? [])
    if (!known.has(id) && payment.paidTimes > 0) findings.add('I1', 'a payment has no withdrawal', id);
}

/** Budgets and slices: never over (I4), each packet dealt once (I5), and what ended is closed: nothing wasted (I4). */
export function checkBudgets(
  orders: ReadonlyMap<string, JournalEntry>,
  books: Books,
  catalog: Catalog,
  closedBeforeMs: number,
  findings: Findings,
): void {
  const slices = new Map([...catalog.slices, ...books.slices].map((slice) => [slice.slice_id, slice]));
  const units = new Map<string, string>();
  const givenOf = new Map<bigint, { packets: bigint; fen: bigint }>();
  for (const { order, isVoid } of orders.values()) {
    if (isVoid) continue;
    const unit = `${order.sliceId}/${order.index}`;
    const other = units.get(unit);
    if (other) findings.add('I5', 'a packet was dealt twice', unit, `${other} and ${order.orderNumber}`);
    units.set(unit, order.orderNumber);
    const slice = slices.get(order.sliceId);
    if (!slice) {
      findings.add('I5', 'an order is paid by a slice that was never leased', order.orderNumber);
      continue;
    }
    if (
      slice.phase_key !== order.phaseKey ||
      slice.scene_id !== order.scene ||
      (slice.rain_id !== 0 && slice.rain_id !== order.rain)
    )
      findings.add('I7', 'an order is paid by a slice of something else', order.orderNumber);
    if (order.index >= Number(slice.packets))
      findings.add(
        'I5',
        'an order takes a packet that its slice does not have',
        order.orderNumber,
        `index ${order.index} of ${slice.packets}`,
      );
    if (slice.amounts_fen && BigInt(slice.amounts_fen[order.index] ?? 0) !== order.fen)
      findings.add('I5', 'a packet’s amount is not the one that was cut', order.orderNumber);
    const given = givenOf.get(order.sliceId) ?? { packets: 0n, fen: 0n };
    givenOf.set(order.sliceId, { packets: given.packets + 1n, fen: given.fen + order.fen });
  }
  checkSlices(books, givenOf, findings);
  checkLines(books, findings);
  for (const { slice_id, state, grant_until_ms, packets } of books.slices) {
    if (state !== 'closed' && grant_until_ms < BigInt(closedBeforeMs))
      findings.add(
        'I4',
        'a slice has ended and was not closed: what it has not given is wasted',
        `slice ${slice_id}`,
        `${packets} packets, ${state}`,
      );
  }
}

function checkSlices(
  books: Books,
  givenOf: ReadonlyMap<bigint, { packets: bigint; fen: bigint }>,
  findings: Findings,
): void {
  const funded = new Map<bigint, bigint>();
  for (const posting of books.postings)
    if (posting.purse === FUNDING)
      funded.set(-posting.act_id, (funded.get(-posting.act_id) ?? 0n) - posting.amount_fen);
  for (const slice of books.slices) {
    const where = `slice ${slice.slice_id}`;
    const given = givenOf.get(slice.slice_id) ?? { packets: 0n, fen: 0n };
    if (given.packets > slice.packets || given.fen > slice.fen)
      findings.add(
        'I4',
        'a slice gave more than it had',
        where,
        `${given.packets} packets, ${given.fen} fen`,
      );
    if ((funded.get(slice.slice_id) ?? 0n) > slice.fen)
      findings.add('I4', 'a slice’s account is overdrawn', where);
    if (
      slice.state === 'closed' &&
      (slice.given_packets !== given.packets || slice.given_fen !== given.fen)
    ) {
      findings.add(
        'I4',
        'a slice was closed with a wrong count',
        where,
        `closed with ${slice.given_packets}, journal has ${given.packets}`,
      );
    }
  }
}
