import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { checkHandedOut, type DownstreamLooks } from './check-handed-out.ts';
import { checkHistory, readHistory, type Seen } from './check-history.ts';
import { checkFileTotals } from './check-lines.ts';
import {
  checkAwards,
  checkBalances,
  checkBudgets,
  checkCredits,
  checkWithdrawals,
  creditsOf,
} from './check-money.ts';
import { checkAgainstCampaign, distinctOrders } from './check-orders.ts';
import { checkSeals } from './check-seals.ts';
import { checkStatements, statementStation } from './check-statement.ts';
import { checkTotals } from './check-total.ts';
import { checkTransfers } from './check-transfers.ts';
import { checkConservation } from './conservation.ts';
import { readDownstream } from './downstream.ts';
import { checkSecondCopy, gatherLogs } from './gather.ts';
import { type AuditedJournal, readDrained, readJournal } from './journal.ts';
import { type Books, type Catalog, readBooks, readCatalog } from './ledger.ts';
import { type AuditReport, Findings } from './report.ts';
import { readAllBooks } from './shards.ts';
import { readStatements, type Statements } from './statement.ts';
import { readStreams, type StreamsToRead } from './streams.ts';

export type { AuditReport, Conserved, Finding } from './report.ts';
export { fileOf } from './statement.ts';

/** What an audit is told beside where things lie. */
interface Told {
  readonly historyFile?: string;
  /** The backlog is drained: every promise must be in the ledger. */
  readonly settled?: boolean;
  /** A slice whose last ticket ended before this must have been closed by now; ms since 1970. Not asked by default. */
  readonly closedBeforeMs?: number;
  /** Of gateways at rest; what they show as given must be what was credited. */
  readonly gatewayUrls?: readonly string[];
  /** What partners say they handed out: `connector=file` (statement.ts). */
  readonly statements?: readonly string[];
}

export interface AuditOptions extends Told {
  readonly dataFolder: string;
  /** Where the keyring lies; `keys` in the data folder when it is not said. */
  readonly keysFolder?: string;
  readonly ledgerUrl: string;
}

/**
 * Checks I1–I8 on what lies on disk and in the database, with nothing of the engine's code. A running engine may be
 * audited: each thing is read after what it must hold. What people were told, the drained mark, and what downstreams
 * had been asked for by then, come first; then the ledger, of one moment; then the journal, which promised all of that,
 * the payments, and the downstreams' record once more, for what the ledger says was handed out; last what only grows:
 * keys, campaigns, and slices that were leased meanwhile. Only a settled audit also asks the other way round.
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const findings = new Findings();
  const journalFolder = path.join(options.dataFolder, 'journal');
  const history = options.historyFile === undefined ? [] : readHistory(options.historyFile);
  const drained = readDrained(journalFolder);
  const before = readDownstream([options.dataFolder], findings);
  const statements = readStatements(options.statements ?? [], findings);
  const books = await readBooks(options.ledgerUrl);
  const journal = readJournal(journalFolder, findings);
  const payments = readPayments(path.join(options.dataFolder, 'payout-sandbox', 'payments.jsonl'));
  const after = readDownstream([options.dataFolder], new Findings());
  const catalog = await readCatalog(options.ledgerUrl, [
    ...new Set(journal.entries.map(({ order }) => order.sliceId)),
  ]);
  if (drained > journal.records)
    findings.add('format', 'the journal lacks records that were credited', `record ${drained}`);
  const keysFolder = options.keysFolder ?? path.join(options.dataFolder, 'keys');
  const keyFile = path.join(keysFolder, 'keyring.json');
  const totals = await checkTotals(options.gatewayUrls ?? [], books, catalog, findings);
  return judge({
    ...options,
    history,
    drained,
    books,
    journal,
    payments,
    downstream: { before, after },
    statements,
    catalog,
    keyFile,
    atOnce: true,
    totals,
    findings,
  });
}

export interface ClusterAuditOptions extends Told {
  /** Of every process that promises: the data folders of gateways and wallets. */
  readonly dataFolders: readonly string[];
  /** JetStream: addresses, the name that begins every stream's, and how many buckets there are. */
  readonly log: StreamsToRead;
  /** The ledger's databases. */
  readonly ledgerUrls: readonly string[];
  /** Control's database: budgets, slices, campaigns. */
  readonly controlUrl: string;
  readonly keyFile: string;
  /** The book was away while people changed gateways: an order may have been sealed by two of them. */
  readonly resealed?: boolean;
}

/**
 * The same of a cluster. The streams say what was promised and what is void; the processes' own journals are the
 * second copy, and must hold whatever somebody was told. The money lies in several databases, each with its own people.
 */
export async function auditCluster(options: ClusterAuditOptions): Promise<AuditReport> {
  const findings = new Findings();
  const history = options.historyFile === undefined ? [] : readHistory(options.historyFile);
  const before = readDownstream(options.dataFolders, findings);
  const statements = readStatements(options.statements ?? [], findings);
  const books = await readAllBooks(options.ledgerUrls, options.controlUrl, findings);
  const journals = options.dataFolders.map((folder) => readJournal(path.join(folder, 'journal'), findings));
  const streams = await readStreams(options.log, findings);
  const journal = gatherLogs(streams, journals, books);
  checkSecondCopy(history, journals, findings);
  const payments = options.dataFolders
    .map((folder) => readPayments(path.join(folder, 'payout-sandbox', 'payments.jsonl')))
    .find((found) => found !== undefined);
  const after = readDownstream(options.dataFolders, new Findings());
  const catalog = await readCatalog(options.controlUrl, [
    ...new Set(journal.entries.map(({ order }) => order.sliceId)),
  ]);
  const totals = await checkTotals(options.gatewayUrls ?? [], books, catalog, findings);
  const report = judge({
    ...options,
    history,
    atOnce: false,
    drained: 0,
    books,
    journal,
    payments,
    downstream: { before, after },
    statements,
    catalog,
    totals,
    findings,
  });
  // What the journals alone have: promised while the log was down, and not in it yet.
  return { ...report, checked: { ...report.checked, owed: journal.owed } };
}

interface Evidence {
  readonly history: readonly Seen[];
  readonly drained: number;
  readonly books: Books;
  readonly journal: AuditedJournal;
  readonly payments: Payments | undefined;
  readonly downstream: DownstreamLooks;
  readonly statements: Statements;
  readonly catalog: Catalog;
  readonly keyFile: string;
  /** The books were read at one moment: they are of one database. */
  readonly atOnce: boolean;
  readonly totals: number;
  readonly settled?: boolean;
  readonly closedBeforeMs?: number;
  readonly resealed?: boolean;
  readonly findings: Findings;
}

function judge(evidence: Evidence): AuditReport {
  const { history, drained, books, journal, payments, downstream, catalog, findings } = evidence;
  const { settled = false } = evidence;
  const seals = checkSeals(journal.batches, evidence.keyFile, findings);
  const orders = distinctOrders(journal, findings);
  checkAgainstCampaign(orders, catalog, findings);
  const { outstanding, voided } = checkCredits(orders, books, drained, settled, findings);
  checkAwards(books, findings);
  checkTransfers(books, catalog, { settled, atOnce: evidence.atOnce }, findings);
  checkBalances(books, findings);
  checkWithdrawals(books, payments, settled, findings);
  checkBudgets(orders, books, catalog, evidence.closedBeforeMs ?? 0, findings);
  checkFileTotals(orders, catalog, findings);
  checkHistory(history, orders, books, evidence.resealed ?? false, findings);
  const handedOut = checkHandedOut(downstream, books, catalog, settled, findings);
  const stated = checkStatements(evidence.statements, books, catalog, settled, findings);
  const conserved = checkConservation({ orders, books, handedOut: downstream.after && handedOut }, findings);
  return {
    ok: findings.list.length === 0,
    checked: {
      records: journal.records,
      fences: journal.fences,
      orders: orders.size,
      seals,
      credits: creditsOf(books).length,
      pieces: books.awards.length,
      handedOut: handedOut.count,
      stated: evidence.statements.lines.length,
      outstanding,
      voided,
      postings: books.postings.length,
      withdrawals: books.withdrawals.length,
      aliases: catalog.aliases.length,
      slices: books.slices.length,
      history: history.length,
      totals: evidence.totals,
    },
    conserved: evidence.statements.connectors.size > 0 ? [...conserved, statementStation(stated)] : conserved,
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
