import pg from 'pg';
import { checkFileTotals } from '../../../rehearsal/audit/check-lines.ts';
import { checkBudgets } from '../../../rehearsal/audit/check-money.ts';
import { distinctOrders } from '../../../rehearsal/audit/check-orders.ts';
import { readJournal } from '../../../rehearsal/audit/journal.ts';
import { readBooks, readCatalog } from '../../../rehearsal/audit/ledger.ts';
import { Findings } from '../../../rehearsal/audit/report.ts';
import type { BudgetLine } from '../../../src/engines/ports.ts';
import { chainOf, SCENES, scenesOf } from './campaign.ts';

/** What people were told: order number, amount in fen. */
export type Told = Map<string, string>;

export interface Evidence {
  readonly url: string;
  readonly journals: readonly string[];
  readonly lines: readonly BudgetLine[];
  readonly told: Told;
}

/** What the ledger holds of orders, read without the engine's code. */
interface Credit {
  readonly ref: string;
  readonly scene: string;
  readonly fen: bigint;
}

/** Everything that is not exactly as it must be when all stock was asked for: over, wasted, twice, not paid. */
export async function faultsOf(evidence: Evidence): Promise<string[]> {
  const credits = await creditsIn(evidence.url);
  return [
    ...onceFaults(credits, evidence.told),
    ...evidence.lines.flatMap((line) => lineFaults(line, credits)),
    ...wasteFaults(evidence.lines, credits),
    ...(await auditFaults(evidence)),
  ];
}

async function creditsIn(url: string): Promise<Credit[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ ref: string; amount_fen: string }>(
      'SELECT ref, amount_fen FROM ledger.posting WHERE act_id > 0 AND slice_id IS NOT NULL',
    );
    return rows.map(({ ref, amount_fen }) => ({ ref, scene: ref.split('_')[1]!, fen: BigInt(amount_fen) }));
  } finally {
    await client.end();
  }
}

function onceFaults(credits: readonly Credit[], told: Told): string[] {
  const paid = new Map(credits.map(({ ref, fen }) => [ref, String(fen)]));
  const twice = paid.size === credits.length ? [] : [`${credits.length - paid.size} orders were paid twice`];
  const unpaid = [...told].filter(([ref, fen]) => paid.get(ref) !== fen);
  return [
    ...twice,
    ...unpaid.map(([ref, fen]) => `${ref} was told ${fen} fen, the ledger has ${paid.get(ref)}`),
  ];
}

const sumOf = (line: string, credits: readonly Credit[]) => {
  const own = credits.filter(({ scene }) => scenesOf(line).includes(scene));
  return { packets: own.length, fen: own.reduce((sum, { fen }) => sum + fen, 0n) };
};

function lineFaults(
  { sceneId: line, total, leased, given }: BudgetLine,
  credits: readonly Credit[],
): string[] {
  const sum = sumOf(line, credits);
  const faults: string[] = [];
  if (sum.packets > total.packets || sum.fen > total.fen)
    faults.push(
      `over: ${line} gave ${sum.packets} packets, ${sum.fen} fen of ${total.packets}, ${total.fen}`,
    );
  if (given.packets !== sum.packets || given.fen !== sum.fen)
    faults.push(
      `${line} says ${given.packets} packets, ${given.fen} fen were given; it was ${sum.packets}, ${sum.fen}`,
    );
  if (leased.packets !== 0 || leased.fen !== 0n)
    faults.push(`wasted: ${line} still has ${leased.packets} packets, ${leased.fen} fen leased`);
  return faults;
}

/** Of every scene some line, its own or one above, gave its very last packet or fen. */
function wasteFaults(lines: readonly BudgetLine[], credits: readonly Credit[]): string[] {
  return SCENES.flatMap(({ id, needsFen }) => {
    const left = chainOf(id).map((path) => {
      const { total } = lines.find(({ sceneId }) => sceneId === path)!;
      const sum = sumOf(path, credits);
      return { packets: total.packets - sum.packets, fen: total.fen - sum.fen };
    });
    const isSpent = left.some(({ packets, fen }) => packets <= 0 || fen < needsFen);
    return isSpent
      ? []
      : [`wasted: ${id} could have given more: ${left.map((one) => `${one.packets}, ${one.fen} fen`)}`];
  });
}

/** The auditor's own look at the budgets, from the journals and the database. */
async function auditFaults({ url, journals }: Evidence): Promise<string[]> {
  const findings = new Findings();
  const books = await readBooks(url);
  const logs = journals.map((folder) => readJournal(folder, findings));
  const orders = distinctOrders(
    {
      entries: logs.flatMap(({ entries }) => entries),
      batches: [],
      records: 0,
      fences: 0,
    },
    findings,
  );
  const catalog = await readCatalog(url, []);
  checkBudgets(orders, books, catalog, Number.MAX_SAFE_INTEGER, findings);
  checkFileTotals(orders, catalog, findings);
  return findings.list.map(
    ({ invariant, what, where, detail }) => `the auditor: ${invariant}, ${what}, ${where} ${detail ?? ''}`,
  );
}
