import { readFileSync } from 'node:fs';
import type { JournalEntry } from './journal.ts';
import type { Books } from './ledger.ts';
import type { Findings } from './report.ts';

/** What clients saw, one JSON object a line (rehearsal/crowd writes it). */
export type Seen =
  | {
      readonly t: 'won';
      readonly orderNumber: string;
      readonly amountFen: number;
      readonly tokenHash: string;
    }
  | {
      readonly t: 'wallet';
      readonly person: string;
      readonly balanceFen: number;
      readonly totalIncomeFen: number;
      /** The sum of the packets that this person had been told of before the look. */
      readonly toldFen?: number;
      /** False when the wallet said that it can't look up what is not credited; the phone showed its tokens then. */
      readonly complete?: boolean;
    }
  | {
      readonly t: 'withdrawn';
      readonly person: string;
      readonly withdrawalId: string;
      readonly amountFen: number;
    };

/** All whole lines: the last one may be being written at this moment. */
export function readHistory(file: string): Seen[] {
  const text = readFileSync(file, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Seen);
}

/**
 * Every "won" that somebody was told stands in the journal (I2), always the same (I1); every withdrawal that was
 * accepted is in the ledger (I2); no wallet shrank by itself (I3). `resealed`: while the book was away no gateway could
 * look up what another one had answered, so the same order may have been sealed twice; it is the same order still.
 */
export function checkHistory(
  history: readonly Seen[],
  orders: ReadonlyMap<string, JournalEntry>,
  books: Books,
  resealed: boolean,
  findings: Findings,
): void {
  const named = byNumber(orders);
  const withdrawals = new Map(books.withdrawals.map((one) => [one.id, one]));
  const tokens = new Map<string, string>();
  const incomes = new Map<string, number>();
  for (const seen of history) {
    switch (seen.t) {
      case 'won':
        checkWon(seen, named.get(seen.orderNumber) ?? [], findings);
        // Of two campaigns with phases of one name each gives its own bytes.
        if (!resealed && named.get(seen.orderNumber)?.length === 1) checkBytes(seen, tokens, findings);
        break;
      case 'withdrawn':
        if (withdrawals.get(seen.withdrawalId)?.amount_fen !== BigInt(seen.amountFen))
          findings.add('I2', 'a withdrawal that was accepted is not in the ledger', seen.withdrawalId);
        break;
      case 'wallet': {
        const before = incomes.get(seen.person) ?? 0;
        const detail = `income ${before}, then ${seen.totalIncomeFen}`;
        const told = `told ${seen.toldFen}, income ${seen.totalIncomeFen}`;
        if (seen.totalIncomeFen < (seen.toldFen ?? 0))
          findings.add('I3', 'a wallet shows less than its person was told', seen.person, told);
        // A packet whose answer was lost is in no phone: a wallet that says it is incomplete need not show it.
        if (seen.complete !== false && seen.totalIncomeFen < before)
          findings.add('I3', 'a wallet went down by itself', seen.person, detail);
        if (seen.balanceFen < 0) findings.add('I3', 'a wallet was below zero', seen.person);
        incomes.set(seen.person, Math.max(before, seen.totalIncomeFen));
      }
    }
  }
}

/** What phones know of an order is its number. */
function byNumber(orders: ReadonlyMap<string, JournalEntry>): ReadonlyMap<string, readonly JournalEntry[]> {
  const named = new Map<string, JournalEntry[]>();
  for (const entry of orders.values()) {
    const { orderNumber } = entry.order;
    const own = named.get(orderNumber);
    if (own) own.push(entry);
    else named.set(orderNumber, [entry]);
  }
  return named;
}

function checkWon(
  seen: Extract<Seen, { t: 'won' }>,
  entries: readonly JournalEntry[],
  findings: Findings,
): void {
  const counting = entries.filter(({ isVoid }) => !isVoid);
  if (counting.length === 0)
    findings.add('I2', 'somebody was told "won", and the journal does not have it', seen.orderNumber);
  else if (!counting.some(({ order }) => order.fen === BigInt(seen.amountFen)))
    findings.add('I1', 'somebody was told another amount', seen.orderNumber);
}

function checkBytes(
  seen: Extract<Seen, { t: 'won' }>,
  tokens: Map<string, string>,
  findings: Findings,
): void {
  const earlier = tokens.get(seen.orderNumber);
  if (earlier !== undefined && earlier !== seen.tokenHash)
    findings.add('I1', 'the same order was answered with other bytes', seen.orderNumber);
  tokens.set(seen.orderNumber, seen.tokenHash);
}
