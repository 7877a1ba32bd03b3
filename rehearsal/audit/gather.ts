import type { Seen } from './check-history.ts';
import type { AuditedJournal, SealedBatch } from './journal.ts';
import type { LedgerRows } from './ledger.ts';
import type { Findings } from './report.ts';
import { keyOfOrder, orderKey } from './token.ts';

/**
 * The streams, and behind them what only a journal has: it was promised while the log was down and is owed to it. The
 * same batch twice is one. What is void in the log and nevertheless credited was credited straight into the ledger
 * while the log was down, before the ledger's own fence (which refuses what is behind it): it counts.
 */
export function gatherLogs(
  streams: AuditedJournal,
  journals: readonly AuditedJournal[],
  money: LedgerRows,
): AuditedJournal & { readonly owed: number } {
  const credited = new Set(
    money.postings.filter(({ act_id }) => act_id > 0n).map(({ phase_key, ref }) => orderKey(phase_key, ref)),
  );
  const logged = new Set(streams.entries.map(({ order }) => keyOfOrder(order)));
  const owed = journals.flatMap(({ entries }) =>
    entries.filter(({ order }) => !logged.has(keyOfOrder(order))),
  );
  return {
    entries: [...streams.entries, ...owed].map((entry) =>
      entry.isVoid && credited.has(keyOfOrder(entry.order)) ? { ...entry, isVoid: false } : entry,
    ),
    batches: distinct([...streams.batches, ...journals.flatMap(({ batches }) => batches)]),
    records: streams.records,
    fences: streams.fences,
    owed: owed.length,
  };
}

/** A nonce is used once, so the same signature is the same batch. */
const distinct = (batches: readonly SealedBatch[]): SealedBatch[] => [
  ...new Map(batches.map((batch) => [batch.signature.toString('base64'), batch])).values(),
];

/** Nobody is told "won" before the process that tells has it in its own fsynced journal. */
export function checkSecondCopy(
  history: readonly Seen[],
  journals: readonly AuditedJournal[],
  findings: Findings,
): void {
  const kept = new Set(journals.flatMap(({ entries }) => entries.map(({ order }) => order.orderNumber)));
  for (const seen of history)
    if (seen.t === 'won' && !kept.has(seen.orderNumber))
      findings.add(
        'I2',
        'somebody was told "won", and no process has it in its own journal',
        seen.orderNumber,
      );
}
