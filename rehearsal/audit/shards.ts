import { setTimeout as delay } from 'node:timers/promises';
import { checkBalances } from './check-money.ts';
import { type Books, type LedgerRows, ledgerRows, readBooks, readBudgets, reading } from './ledger.ts';
import type { Findings } from './report.ts';

/** The account (0, phase, purse 5): the other leg of money that a move carries between shards. */
const CARRIED = 5;
/** A bucket that is handed over at this very moment belongs to nobody, or was read on both sides: look again. */
const LOOKS = 8;
const LOOK_AGAIN_MS = 250;

interface ShardRow {
  readonly name: string;
  readonly buckets: number;
}

interface Shard extends LedgerRows {
  readonly name: string;
  readonly buckets: number;
  /** Buckets whose people this shard serves. */
  readonly owned: ReadonlySet<number>;
  /** Buckets of which it may hold a copy: they are on their way to it, or away from it. */
  readonly passing: ReadonlySet<number>;
}

/**
 * The books of a ledger in one database, or in several shards as if it were one: people's rows count where their
 * bucket is owned, copies on the way count nowhere. Each shard must sum to zero with all that lies on it.
 */
export async function readAllBooks(
  urls: readonly string[],
  controlUrl: string,
  findings: Findings,
): Promise<Books> {
  if (urls.length === 1 && urls[0] === controlUrl && !(await shardRow(controlUrl)))
    return readBooks(controlUrl);
  const budgets = await readBudgets(controlUrl);
  const shards = await readShards(urls, findings);
  for (const shard of shards) checkBalances(shard, findings, `shard ${shard.name}`);
  return { ...budgets, ...together(shards, findings) };
}

async function shardRow(url: string): Promise<ShardRow | undefined> {
  return reading(url, async (rows) => (await rows<ShardRow>('SELECT name, buckets FROM ledger.shard'))[0]);
}

async function readShards(urls: readonly string[], findings: Findings): Promise<Shard[]> {
  for (let look = 1; ; look += 1) {
    const shards: Shard[] = [];
    for (const url of urls) shards.push(await readShard(url));
    const problems = ownershipProblems(shards);
    if (problems.length === 0 || look === LOOKS) {
      for (const { what, where } of problems) findings.add('I8', what, where);
      return shards;
    }
    await delay(LOOK_AGAIN_MS);
  }
}

const readShard = (url: string): Promise<Shard> =>
  reading(url, async (rows) => {
    const [shard] = await rows<ShardRow>('SELECT name, buckets FROM ledger.shard');
    const buckets = await rows<{ bucket: number; state: string }>('SELECT bucket, state FROM ledger.bucket');
    const isOwned = (state: string) => state === 'held' || state === 'leaving';
    const alone = shard === undefined;
    return {
      name: shard?.name ?? 'alone',
      buckets: shard?.buckets ?? 1,
      owned: new Set(alone ? [0] : buckets.filter(({ state }) => isOwned(state)).map(({ bucket }) => bucket)),
      passing: new Set(buckets.filter(({ state }) => !isOwned(state)).map(({ bucket }) => bucket)),
      ...(await ledgerRows(rows)),
    };
  });

function ownershipProblems(shards: readonly Shard[]): { what: string; where: string }[] {
  const problems: { what: string; where: string }[] = [];
  const { buckets } = shards[0]!;
  if (shards.some((shard) => shard.buckets !== buckets))
    problems.push({
      what: 'shards count buckets differently',
      where: shards.map(({ name }) => name).join(', '),
    });
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const owners = shards.filter((shard) => shard.owned.has(bucket));
    if (owners.length !== 1)
      problems.push({
        what: owners.length === 0 ? 'a bucket is owned by no shard' : 'a bucket is owned by two shards',
        where: `bucket ${bucket}`,
      });
  }
  return problems;
}

function together(shards: readonly Shard[], findings: Findings): LedgerRows {
  const of = <Row extends { readonly act_id: bigint }>(
    what: string,
    pick: (shard: Shard) => readonly Row[],
  ): Row[] =>
    shards.flatMap((shard) =>
      pick(shard).filter((row) => {
        if (row.act_id <= 0n) return true;
        const bucket = Number(row.act_id % BigInt(shard.buckets));
        if (shard.owned.has(bucket)) return true;
        if (!shard.passing.has(bucket))
          findings.add(
            'I1',
            `${what} lies on a shard that never had its bucket`,
            `${row.act_id} on ${shard.name}`,
          );
        return false;
      }),
    );
  return {
    postings: of('a posting', (shard) => shard.postings.filter((posting) => posting.purse !== CARRIED)),
    withdrawals: of('a withdrawal', (shard) => shard.withdrawals),
    awards: of('a piece', (shard) => shard.awards),
  };
}
