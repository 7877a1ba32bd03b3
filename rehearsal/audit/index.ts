import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { checkHistory } from './check-history.ts';
import { checkBalances, checkBudgets, checkCredits, checkWithdrawals, creditsOf } from './check-money.ts';
import { checkAgainstCampaign, distinctOrders } from './check-orders.ts';
import { readJournal } from './journal.ts';
import { readBooks } from './ledger.ts';
import { type AuditReport, Findings } from './report.ts';

export type { AuditReport, Finding } from './report.ts';

export interface AuditOptions {
  readonly dataFolder: string;
  readonly ledgerUrl: string;
  readonly historyFile?: string;
  /** The backlog is drained: every promise must be in the ledger. */
  readonly settled?: boolean;
}

/**
 * Checks I1–I8 on what lies on disk and in the database, with nothing of the engine's code. A running engine may be
 * audited: the ledger is read first and of one moment, journal and payments after it, so what is credited must be
 * promised, and what is paid must have a payment; only a settled audit asks the other way round.
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const findings = new Findings();
  const books = await readBooks(options.ledgerUrl);
  const settled = options.settled ?? false;
  // A live drained mark may run ahead of the ledger's moment that was read: only a settled one is held against it.
  const journal = readJournal(path.join(options.dataFolder, 'journal'), findings);
  const orders = distinctOrders(journal, findings);
  checkAgainstCampaign(orders, books, findings);
  const { outstanding, voided } = checkCredits(
    orders,
    books,
    settled ? journal.drained : 0,
    settled,
    findings,
  );
  checkBalances(books, findings);
  const payments = readPayments(path.join(options.dataFolder, 'payout-sandbox', 'payments.jsonl'));
  checkWithdrawals(books, payments, settled, findings);
  checkBudgets(orders, books, settled, findings);
  const history = options.historyFile === undefined ? 0 : checkHistory(options.historyFile, orders, findings);
  return {
    ok: findings.list.length === 0,
    checked: {
      records: journal.records,
      orders: orders.size,
      credits: creditsOf(books).length,
      outstanding,
      voided,
      postings: books.postings.length,
      accounts: books.accounts.length,
      withdrawals: books.withdrawals.length,
      slices: books.slices.length,
      history,
    },
    findings: findings.list,
  };
}

type Payments = ReadonlyMap<string, { paidTimes: number; amountFen: number }>;

/** The sandbox's own record; undefined where the payout is somebody else's. */
function readPayments(file: string): Payments | undefined {
  if (!existsSync(file)) return undefined;
  const payments = new Map<string, { paidTimes: number; amountFen: number }>();
  const text = readFileSync(file, 'utf8');
  for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) {
    if (!line) continue;
    const payment = JSON.parse(line) as { payoutId: string; amountFen: number; state: string };
    const before = payments.get(payment.payoutId)?.paidTimes ?? 0;
    payments.set(payment.payoutId, {
      amountFen: payment.amountFen,
      paidTimes: before + (payment.state === 'paid' ? 1 : 0),
    });
  }
  return payments;
}
