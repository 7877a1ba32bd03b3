import { existsSync, readFileSync } from 'node:fs';
import { type Evidence, groupBy } from '../evidence.ts';
import type { Notebook } from '../report.ts';

/**
 * What clients saw, a line each, in the order in which it was written down. `n` counts all lines of all people;
 * `sinceN` is the count when the request was sent, so that what a person knew before asking is known here.
 */
export type HistoryLine = { readonly n: number; readonly user: string } & (
  | {
      readonly t: 'won';
      readonly orderNumber: string;
      readonly amountFen: number;
      readonly tokenHash: string;
    }
  | {
      readonly t: 'wallet';
      readonly sinceN: number;
      readonly balanceFen: number;
      readonly creditedFen: number;
      readonly outstandingFen: number;
      readonly heldFen: number;
      readonly totalIncomeFen: number;
    }
  | { readonly t: 'withdrawing'; readonly key: string; readonly amountFen: number }
  | {
      readonly t: 'withdrawn';
      readonly key: string;
      readonly withdrawalId: string;
      readonly amountFen: number;
    }
  | { readonly t: 'refused'; readonly what: string; readonly code: string }
);

type Line<T extends HistoryLine['t']> = Extract<HistoryLine, { t: T }>;
const only = <T extends HistoryLine['t']>(lines: readonly HistoryLine[], t: T): Line<T>[] =>
  lines.filter((line): line is Line<T> => line.t === t);

/** A last line without an end is still being written. */
export const readHistory = (file: string): HistoryLine[] =>
  (existsSync(file) ? readFileSync(file, 'utf8') : '')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as HistoryLine);

/** I2 and I3 as the people saw them. */
export function checkHistory(evidence: Evidence, notebook: Notebook, lines: readonly HistoryLine[]): void {
  notebook.saw('history lines', lines.length);
  checkWins(evidence, notebook, only(lines, 'won'));
  checkAnsweredWithdrawals(evidence, notebook, only(lines, 'withdrawn'));
  for (const own of groupBy(lines, ({ user }) => user).values()) checkWallets(notebook, own);
}

function checkWins(evidence: Evidence, notebook: Notebook, wins: readonly Line<'won'>[]): void {
  notebook.saw('wins that were answered', wins.length);
  const first = new Map<string, Line<'won'>>();
  for (const win of wins) {
    const promised = evidence.orders.get(win.orderNumber);
    if (!promised || promised.isVoid)
      notebook.find(
        'I2',
        'answered win without a promise',
        win.orderNumber,
        `${win.amountFen} fen for ${win.user}`,
      );
    else
      notebook.same(
        'I2',
        'answered win of another amount',
        win.orderNumber,
        BigInt(win.amountFen),
        promised.order.amountFen,
      );
    const before = first.get(win.orderNumber) ?? win;
    first.set(win.orderNumber, before);
    notebook.same('I1', 'order answered with two tokens', win.orderNumber, win.tokenHash, before.tokenHash);
    notebook.same('I1', 'order answered to two people', win.orderNumber, win.user, before.user);
  }
}

function checkAnsweredWithdrawals(
  evidence: Evidence,
  notebook: Notebook,
  answered: readonly Line<'withdrawn'>[],
): void {
  notebook.saw('withdrawals that were answered', answered.length);
  const rows = new Map(evidence.database.withdrawals.map((row) => [row.id, row]));
  const ids = new Map<string, string>();
  for (const { user, key, withdrawalId, amountFen } of answered) {
    const id = ids.get(`${user} ${key}`) ?? withdrawalId;
    ids.set(`${user} ${key}`, id);
    notebook.same('I1', 'withdrawal key answered with two withdrawals', key, withdrawalId, id);
    const row = rows.get(withdrawalId);
    if (!row)
      notebook.find(
        'I2',
        'answered withdrawal is not in the ledger',
        withdrawalId,
        `${amountFen} fen for ${user}`,
      );
    else
      notebook.same(
        'I2',
        'answered withdrawal of another amount',
        withdrawalId,
        BigInt(amountFen),
        row.amountFen,
      );
  }
}

/** I3: everything won before the question is in the answer, less at most what the person took out. */
function checkWallets(notebook: Notebook, lines: readonly HistoryLine[]): void {
  const wins = firstOfEach(only(lines, 'won'), ({ orderNumber }) => orderNumber);
  const asked = firstOfEach(only(lines, 'withdrawing'), ({ key }) => key);
  const reads = only(lines, 'wallet');
  notebook.saw('wallet readings', reads.length);
  for (const [nth, read] of reads.entries()) {
    const where = `${read.user} line ${read.n}`;
    const wonFen = sum(wins.filter(({ n }) => n <= read.sinceN));
    const takenFen = sum(asked.filter(({ n }) => n <= read.n));
    notebook.same(
      'I3',
      'balance is not credited + outstanding',
      where,
      read.balanceFen,
      read.creditedFen + read.outstandingFen,
    );
    if (read.totalIncomeFen < wonFen)
      notebook.find('I3', 'wallet misses a win', where, `income ${read.totalIncomeFen}, won ${wonFen}`);
    if (read.balanceFen < wonFen - takenFen)
      notebook.find(
        'I3',
        'wallet shows less than is takeable',
        where,
        `${read.balanceFen} of ${wonFen} − ${takenFen}`,
      );
    const earlier = reads.slice(0, nth).filter(({ n }) => n <= read.sinceN);
    const highest = Math.max(0, ...earlier.map(({ totalIncomeFen }) => totalIncomeFen));
    if (read.totalIncomeFen < highest)
      notebook.find('I3', 'wallet went down', where, `income ${read.totalIncomeFen} after ${highest}`);
  }
}

function firstOfEach<Item>(items: readonly Item[], keyOf: (item: Item) => string): Item[] {
  const first = new Map<string, Item>();
  for (const item of items) if (!first.has(keyOf(item))) first.set(keyOf(item), item);
  return [...first.values()];
}

const sum = (items: readonly { amountFen: number }[]): number =>
  items.reduce((total, { amountFen }) => total + amountFen, 0);
