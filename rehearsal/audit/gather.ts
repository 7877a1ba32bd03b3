import type { Seen } from './check-history.ts';
import type { AuditedJournal, SealedBatch } from './journal.ts';
import type { Money, Shard } from './ledger.ts';
import type { Findings } from './report.ts';

const CARRIED = 5;

/**
 * The databases of a ledger as one. A person counts where the person's bucket is held; elsewhere there may be a copy
 * that is being swept away. Each bucket has one home, and what was carried between shards sums to zero.
 */
export function gatherShards(shards: readonly Shard[], findings: Findings): Money {
  const count = shards[0]?.bucketCount;
  for (let bucket = 0; bucket < (count ?? 0); bucket += 1) {
    const homes = shards.filter(({ buckets }) => buckets.includes(bucket)).length;
    if (homes !== 1)
      findings.add(
        homes === 0 ? 'I2' : 'I1',
        'a bucket has not exactly one home',
        `bucket ${bucket}`,
        `${homes}`,
      );
  }
  const ofShard = (shard: Shard) => {
    const isHere = ({ act_id }: { readonly act_id: bigint }) =>
      act_id <= 0n || count === undefined || shard.buckets.includes(Number(act_id % BigInt(count)));
    return {
      postings: shard.postings.filter(isHere),
      accounts: shard.accounts.filter(isHere),
      withdrawals: shard.withdrawals.filter(isHere),
    };
  };
  const here = shards.map(ofShard);
  const postings = here.flatMap((one) => one.postings);
  const carried = postings.filter(({ purse }) => purse === CARRIED);
  const sum = carried.reduce((total, { amount_fen }) => total + amount_fen, 0n);
  if (sum !== 0n)
    findings.add('I6', 'what was carried between shards does not sum to zero', 'purse 5', `${sum} fen`);
  return {
    postings,
    accounts: here.flatMap((one) => one.accounts),
    withdrawals: here.flatMap((one) => one.withdrawals),
    sumsFen: shards.flatMap(({ sumsFen }) => sumsFen),
  };
}

/**
 * The streams, and behind them what only a journal has: it was promised while the log was down and is owed to it. The
 * same batch twice is one. What is void in the log and nevertheless credited was credited straight into the ledger
 * while the log was down, before the ledger's own fence (which refuses what is behind it): it counts.
 */
export function gatherLogs(
  streams: AuditedJournal,
  journals: readonly AuditedJournal[],
  money: Money,
): AuditedJournal {
  const credited = new Set(money.postings.filter(({ act_id }) => act_id > 0n).map(({ ref }) => ref));
  const logged = new Set(streams.entries.map(({ order }) => order.orderNumber));
  const owed = journals.flatMap(({ entries }) =>
    entries.filter(({ order }) => !logged.has(order.orderNumber)),
  );
  return {
    entries: [...streams.entries, ...owed].map((entry) =>
      entry.isVoid && credited.has(entry.order.orderNumber) ? { ...entry, isVoid: false } : entry,
    ),
    batches: distinct([...streams.batches, ...journals.flatMap(({ batches }) => batches)]),
    records: streams.records,
    fences: streams.fences,
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
