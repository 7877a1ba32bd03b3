import type { Award, Awards, CreditReceipt, Ledger, Withdrawal } from '../engines/ports.ts';
import { RetryableFault } from '../protocol/failures.ts';
import { bucketOf } from '../vocabulary/bucket.ts';
import { sumFen } from '../vocabulary/fen.ts';
import type { ActId } from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import type { Order, SliceUnit } from '../vocabulary/order.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import { type DirectoryOptions, openDirectory, type Shard } from './directory.ts';
import type { OneLedger } from './one.ts';
import { isBucketMoved } from './partition.ts';
import { moveBalance, type TransferSteps } from './transfers.ts';
import type { SliceFence } from './unlogged.ts';

export interface ShardedLedgerOptions extends DirectoryOptions {
  /** How old the plan may be when all shards are asked for what they list (withdrawals, pieces, sums); ms. */
  readonly planAgeMsMax?: number;
}

export interface ShardHealth {
  readonly name: string;
  readonly reachable: boolean;
  readonly reason?: string;
}

/** The ledger over several databases by account bucket. A shard that is gone fails its own accounts and no others. */
export interface ShardedLedger extends Ledger, Awards, TransferSteps {
  shardHealth(): Promise<readonly ShardHealth[]>;
  /** The slices of which nothing more is credited. Needs every shard. */
  fences(): Promise<readonly SliceFence[]>;
}

const PLAN_AGE_MS_MAX = 5_000;
/** A bucket that is handed over belongs to nobody for a moment: so often, and so long between, it is looked for. */
const LOOKS = 60;
const LOOK_AGAIN_MS = 50;

/** Asks one database for its part, wherever it lies. */
type Look<Answer> = (act: (ledger: OneLedger) => Promise<readonly Answer[]>) => Promise<readonly Answer[]>;
type UnloggedReceipt = CreditReceipt & { readonly fenced: readonly OrderNumber[] };

/**
 * A batch of several buckets is credited bucket by bucket: all or nothing holds for each (and in it for money and for
 * pieces by itself); when one fails, the call throws and may be repeated whole. `fence` and `sliceTally` need every
 * shard, lists over all accounts those that answer, all else only the account's.
 */
export async function openShardedLedger(options: ShardedLedgerOptions): Promise<ShardedLedger> {
  const directory = await openDirectory(options);
  const { buckets } = directory;

  async function inBucket<Result>(
    bucket: number,
    act: (ledger: OneLedger) => Promise<Result>,
  ): Promise<Result> {
    for (let look = 1; ; look += 1) {
      const shard = directory.shardOf(bucket);
      try {
        return await shard.ask(act);
      } catch (error) {
        if (!isBucketMoved(error)) throw error;
        if (look === LOOKS) throw unheld(`bucket ${bucket}`);
        await directory.refresh('welcome');
        if (directory.shardOf(bucket) === shard) await options.retry.sleepMs(LOOK_AGAIN_MS);
      }
    }
  }
  const ofAccount = <Result>(
    account: { readonly actId: ActId },
    act: (ledger: OneLedger) => Promise<Result>,
  ) => inBucket(bucketOf(account.actId, buckets), act);

  async function byBucket<Result>(
    orders: readonly Order[],
    act: (ledger: OneLedger, part: readonly Order[]) => Promise<Result>,
  ): Promise<Result[]> {
    const parts = groupsOf(orders, (order) => bucketOf(order.actId, buckets));
    return allOf([...parts].map(([bucket, part]) => inBucket(bucket, (ledger) => act(ledger, part))));
  }

  /**
   * Asks about many accounts and gives the answers in their order: a statement a shard; for a shard of which a bucket
   * has moved away, one a bucket.
   */
  async function ofEach<Item extends { readonly actId: ActId }, Answer>(
    items: readonly Item[],
    act: (ledger: OneLedger, some: readonly Item[]) => Promise<readonly Answer[]>,
  ): Promise<readonly Answer[]> {
    const answers: Answer[] = new Array(items.length);
    const look = async (places: readonly number[], ask: Look<Answer>) => {
      const found = await ask((ledger) =>
        act(
          ledger,
          places.map((place) => items[place]!),
        ),
      );
      for (const [index, place] of places.entries()) answers[place] = found[index]!;
    };
    const bucketAt = (place: number) => bucketOf(items[place]!.actId, buckets);
    const byShard = groupsOf(items.keys(), (place) => directory.shardOf(bucketAt(place)));
    await allOf(
      [...byShard].map(async ([shard, places]) => {
        try {
          await look(places, (ask) => shard.ask(ask));
        } catch (error) {
          if (!isBucketMoved(error)) throw error;
          const byBucket = groupsOf(places, bucketAt);
          await allOf([...byBucket].map(([bucket, some]) => look(some, (ask) => inBucket(bucket, ask))));
        }
      }),
    );
    return answers;
  }

  const everywhere = <Result>(act: (ledger: OneLedger) => Promise<Result>): Promise<Result[]> =>
    allOf(directory.shards().map((shard) => shard.ask(act)));

  /**
   * Until the shards that were reached speak for every bucket: one may have come to a shard that is new to us, or have
   * been handed over while its shard waited for it.
   */
  async function fence(unit: Pick<SliceUnit, 'sliceId' | 'epoch'>): Promise<void> {
    for (let look = 1; ; look += 1) {
      await directory.refresh('needed');
      const covered = new Set((await everywhere((ledger) => ledger.fenceHeld(unit).catch(ofNone))).flat());
      if (covered.size === buckets) return;
      if (look === LOOKS) throw unheld('a bucket');
      await options.retry.sleepMs(LOOK_AGAIN_MS);
    }
  }

  /** What the shards that answer list. What lies on one that is away waits for it; the others go on. */
  async function listed<Item>(
    act: (ledger: OneLedger, shard: string) => Promise<readonly Item[]>,
  ): Promise<Item[]> {
    if (directory.ageMs() > (options.planAgeMsMax ?? PLAN_AGE_MS_MAX)) await directory.refresh('welcome');
    const answers = await Promise.allSettled(
      directory.shards().map((shard) => shard.ask((ledger) => act(ledger, shard.name))),
    );
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
    if (found.length === 0) throw (answers[0] as PromiseRejectedResult).reason;
    return found.flat();
  }

  async function unsettled(limit: number): Promise<readonly Withdrawal[]> {
    const found = await listed((ledger) => ledger.unsettled(limit));
    return onceEach(
      found,
      (one) => one.id,
      (a, b) => a.requestedAtMs - b.requestedAtMs,
    ).slice(0, limit);
  }

  async function listedAwards(
    act: (ledger: OneLedger) => Promise<readonly Award[]>,
    limit: number,
    before: (a: Award, b: Award) => number,
  ): Promise<readonly Award[]> {
    const key = ({ account, orderNumber }: Award): string => `${account.phaseKey}/${orderNumber}`;
    return onceEach(await listed(act), key, before).slice(0, limit);
  }

  /** Each step where its account lies by then: buckets may move between two of them. */
  const steps: TransferSteps = {
    sendAll: (from, to, atMs) => ofAccount(from, (ledger) => ledger.sendAll(from, to, atMs)),
    receive: (transfer) => ofAccount({ actId: transfer.to }, (ledger) => ledger.receive(transfer)),
    arrived: (transfer) => ofAccount({ actId: transfer.from }, (ledger) => ledger.arrived(transfer)),
  };

  const shardHealth = () => Promise.all(directory.shards().map(healthOf));

  return {
    credit: async (orders) => added(await byBucket(orders, (ledger, part) => ledger.credit(part))),
    async creditUnlogged(orders) {
      const receipts: UnloggedReceipt[] = await byBucket(orders, (ledger, part) =>
        ledger.creditUnlogged(part),
      );
      return { ...added(receipts), fenced: receipts.flatMap((receipt) => receipt.fenced) };
    },
    fence,
    fences: async () => {
      await directory.refresh('needed');
      const all = (await everywhere((ledger) => ledger.fences())).flat();
      return [...new Map(all.map((one) => [`${one.sliceId}/${one.epoch}`, one])).values()];
    },
    wallet: (account, orderNumbers) => ofAccount(account, (ledger) => ledger.wallet(account, orderNumbers)),
    areCredited: (orders) => ofEach(orders, (ledger, some) => ledger.areCredited(some)),
    creditedOrdersOf: (accounts) => ofEach(accounts, (ledger, some) => ledger.creditedOrdersOf(some)),
    records: (account, after, limit) => ofAccount(account, (ledger) => ledger.records(account, after, limit)),
    hold: (request) => ofAccount(request.account, (ledger) => ledger.hold(request)),
    ...steps,
    moveBalance: (from, to, atMs) => moveBalance(steps, from, to, atMs),
    fundedAmong: (actIds) => listed((ledger) => ledger.fundedAmong(actIds)),
    replayOf: (account, ask) => ofAccount(account, (ledger) => ledger.replayOf(account, ask)),
    withdrawal: (account, id) => ofAccount(account, (ledger) => ledger.withdrawal(account, id)),
    markPaying: (id, account) => ofAccount(account, (ledger) => ledger.markPaying(id, account)),
    settle: (id, account, end, atMs) => ofAccount(account, (ledger) => ledger.settle(id, account, end, atMs)),
    unsettled,
    async sliceTally(phaseKey, sliceId) {
      // What a slice gave stays on the shard that gave it, wherever people moved: every shard there is must be asked.
      await directory.refresh('needed');
      const tallies = await everywhere((ledger) => ledger.sliceTally(phaseKey, sliceId));
      return {
        packets: tallies.reduce((sum, tally) => sum + tally.packets, 0),
        fen: sumFen(tallies.map((tally) => tally.fen)),
      };
    },
    creditedSums: () =>
      listed(async (ledger, database) => (await ledger.creditedSums()).map((sum) => ({ ...sum, database }))),
    async health() {
      const shards = await shardHealth();
      const away = shards.filter((shard) => !shard.reachable);
      const reason = away.map((shard) => `shard ${shard.name}: ${shard.reason}`).join('; ');
      return { reachable: away.length < shards.length, ...(away.length > 0 && { reason }) };
    },
    awards: (account) => ofAccount(account, (ledger) => ledger.awards(account)),
    award: (account, orderNumber) => ofAccount(account, (ledger) => ledger.award(account, orderNumber)),
    dueAwards: (nowMs, limit, scenes) =>
      listedAwards((ledger) => ledger.dueAwards(nowMs, limit, scenes), limit, byDueTime),
    awardsDueBehind: (afterMs, limit) =>
      listedAwards((ledger) => ledger.awardsDueBehind(afterMs, limit), limit, byDueTime),
    markAsking: (account, orderNumber, claim) =>
      ofAccount(account, (ledger) => ledger.markAsking(account, orderNumber, claim)),
    deferAward: (account, orderNumber, next) =>
      ofAccount(account, (ledger) => ledger.deferAward(account, orderNumber, next)),
    settleAward: (account, orderNumber, end) =>
      ofAccount(account, (ledger) => ledger.settleAward(account, orderNumber, end)),
    useAward: (account, orderNumber, atMs) =>
      ofAccount(account, (ledger) => ledger.useAward(account, orderNumber, atMs)),
    deadAwards: (after, limit) =>
      listedAwards((ledger) => ledger.deadAwards(after, limit), limit, byOrderNumber),
    stuckAwards: (triesMin, after, limit) =>
      listedAwards((ledger) => ledger.stuckAwards(triesMin, after, limit), limit, byOrderNumber),
    async awardsOnTheirWay(nowMs) {
      const found = await listed(async (ledger) => [await ledger.awardsOnTheirWay(nowMs)]);
      const oldest = found.flatMap((one) => one.oldestDrawnAtMs ?? []);
      return {
        count: found.reduce((sum, one) => sum + one.count, 0),
        due: found.reduce((sum, one) => sum + one.due, 0),
        ...(oldest.length > 0 && { oldestDrawnAtMs: instantMs(Math.min(...oldest)) }),
      };
    },
    replayAward: (account, orderNumber, dueAtMs) =>
      ofAccount(account, (ledger) => ledger.replayAward(account, orderNumber, dueAtMs)),
    shardHealth,
    close: () => directory.close(),
  };
}

const byDueTime = (a: Award, b: Award): number => a.dueAtMs - b.dueAtMs;
const byOrderNumber = (a: Award, b: Award): number => (a.orderNumber < b.orderNumber ? -1 : 1);

async function healthOf(shard: Shard): Promise<ShardHealth> {
  try {
    const health = await shard.ask(async (ledger) => {
      const answer = await ledger.health();
      if (!answer.reachable)
        throw new RetryableFault('ledger-unavailable', answer.reason ?? 'no answer', 200);
      return answer;
    });
    return { name: shard.name, reachable: health.reachable };
  } catch (error) {
    return { name: shard.name, reachable: false, reason: (error as Error).message };
  }
}

function groupsOf<Item, Key>(items: Iterable<Item>, keyOf: (item: Item) => Key): ReadonlyMap<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

/** In order, and once where two shards spoke of the same, as one may while its bucket is handed over. */
const onceEach = <Item, Key>(
  items: readonly Item[],
  keyOf: (item: Item) => Key,
  before: (a: Item, b: Item) => number,
): Item[] => [...new Map(items.map((item) => [keyOf(item), item])).values()].sort(before);

const added = (receipts: readonly CreditReceipt[]): CreditReceipt => ({
  credited: receipts.reduce((sum, receipt) => sum + receipt.credited, 0),
  alreadyCredited: receipts.reduce((sum, receipt) => sum + receipt.alreadyCredited, 0),
  conflicting: receipts.flatMap((receipt) => receipt.conflicting),
});

/** Waits for all, then throws what is no passing fault before what is. */
async function allOf<Result>(acts: readonly Promise<Result>[]): Promise<Result[]> {
  const answers = await Promise.allSettled(acts);
  const reasons = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
  if (reasons.length > 0) throw reasons.find((reason) => !(reason instanceof RetryableFault)) ?? reasons[0];
  return answers.map((answer) => (answer as PromiseFulfilledResult<Result>).value);
}

/** A shard that lost a bucket while it set a fence has set none. */
function ofNone(error: unknown): readonly number[] {
  if (!isBucketMoved(error)) throw error;
  return [];
}

const unheld = (what: string) =>
  new RetryableFault('ledger-unavailable', `${what} is held by no shard that answers; it may be moving`, 500);
