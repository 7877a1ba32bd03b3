import { readFileSync } from 'node:fs';
import type { JournalEntry } from './journal.ts';
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
    }
  | {
      readonly t: 'withdrawn';
      readonly person: string;
      readonly withdrawalId: string;
      readonly amountFen: number;
    };

/** Every "won" that somebody was told stands in the journal (I2), always the same (I1); no wallet shrank by itself (I3). */
export function checkHistory(
  file: string,
  orders: ReadonlyMap<string, JournalEntry>,
  findings: Findings,
): number {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  const tokens = new Map<string, string>();
  const incomes = new Map<string, number>();
  for (const line of lines) {
    const seen = JSON.parse(line) as Seen;
    if (seen.t === 'won') {
      const entry = orders.get(seen.orderNumber);
      if (!entry || entry.isVoid)
        findings.add('I2', 'somebody was told "won", and the journal does not have it', seen.orderNumber);
      else if (entry.order.fen !== BigInt(seen.amountFen))
        findings.add('I1', 'somebody was told another amount', seen.orderNumber);
      const earlier = tokens.get(seen.orderNumber);
      if (earlier !== undefined && earlier !== seen.tokenHash)
        findings.add('I1', 'the same order was answered with other bytes', seen.orderNumber);
      tokens.set(seen.orderNumber, seen.tokenHash);
    }
    if (seen.t === 'wallet') {
      const before = incomes.get(seen.person) ?? 0;
      if (seen.totalIncomeFen < before)
        findings.add(
          'I3',
          'a wallet went down by itself',
          seen.person,
          `income ${before}, then ${seen.totalIncomeFen}`,
        );
      incomes.set(seen.person, seen.totalIncomeFen);
    }
  }
  return lines.length;
}
