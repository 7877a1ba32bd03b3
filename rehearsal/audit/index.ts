import { existsSync } from 'node:fs';
import path from 'node:path';
import { checkBalances } from './checks/balances.ts';
import { checkBudgets } from './checks/budgets.ts';
import { checkCredits } from './checks/credits.ts';
import { checkHistory, readHistory } from './checks/history.ts';
import { checkOrders } from './checks/orders.ts';
import { checkPeople } from './checks/people.ts';
import { checkSlices } from './checks/slices.ts';
import { checkWithdrawals } from './checks/withdrawals.ts';
import { type Evidence, isCredit } from './evidence.ts';
import { type CampaignRules, readCampaignFile } from './reading/campaign.ts';
import { type Database, readDatabase } from './reading/database.ts';
import { type Appended, readDrainedMark, readJournal } from './reading/journal.ts';
import { readPayments } from './reading/payments.ts';
import { type AuditReport, createNotebook, type Notebook } from './report.ts';

export type { HistoryLine } from './checks/history.ts';
export { type AuditReport, type Finding, reportText } from './report.ts';

export interface AuditAsk {
  readonly dataFolder: string;
  readonly ledgerUrl: string;
  /** Campaign files, oldest first; by default those that the database says were applied. */
  readonly campaignSources?: readonly string[];
  /** Default: the data folder's, when there is one. */
  readonly payoutSandboxFolder?: string;
  /** What clients saw: JSON lines, see HistoryLine. */
  readonly historyFile?: string;
  /** Nothing is under way any more: every promise must be in the ledger, every withdrawal settled. */
  readonly settled?: boolean;
}

/**
 * Checks the invariants on what an engine left on its disks, by the documents alone: it shares no code with it. The
 * engine may be running: everything is read in an order in which what is read later can only know more.
 */
export async function audit(ask: AuditAsk): Promise<AuditReport> {
  const notebook = createNotebook();
  const history = ask.historyFile === undefined ? undefined : readHistory(ask.historyFile);
  const evidence = await gather(ask, notebook);
  checkOrders(evidence, notebook);
  checkCredits(evidence, notebook);
  checkSlices(evidence, notebook);
  checkBudgets(evidence, notebook);
  checkPeople(evidence, notebook);
  checkBalances(evidence, notebook);
  checkWithdrawals(evidence, notebook);
  if (history) checkHistory(evidence, notebook, history);
  return notebook.report();
}

async function gather(ask: AuditAsk, notebook: Notebook): Promise<Evidence> {
  const folder = path.join(ask.dataFolder, 'journal');
  const payoutFolder = ask.payoutSandboxFolder ?? path.join(ask.dataFolder, 'payout-sandbox');
  const payments = () => (existsSync(payoutFolder) ? readPayments(payoutFolder) : undefined);
  const drainedTo = readDrainedMark(folder);
  const paymentsBefore = payments();
  const database = await readDatabase(ask.ledgerUrl);
  const journal = readJournal(folder, notebook);
  const orders = new Map<string, Appended>();
  for (const one of journal.appended) {
    const before = orders.get(one.order.orderNumber);
    if (!before || (before.isVoid && !one.isVoid)) orders.set(one.order.orderNumber, one);
  }
  return {
    journal,
    drainedTo,
    database,
    campaigns: campaignsOf(ask, database),
    paymentsBefore,
    paymentsAfter: payments(),
    settled: ask.settled ?? false,
    orders,
    credits: database.postings.filter(isCredit),
    slices: new Map(database.slices.map((slice) => [slice.sliceId, slice])),
  };
}

/** The newest version of each. */
function campaignsOf(ask: AuditAsk, database: Database): Map<string, CampaignRules> {
  const files = (ask.campaignSources ?? database.campaignSources).map(readCampaignFile);
  return new Map(files.map((campaign) => [campaign.id, campaign]));
}
