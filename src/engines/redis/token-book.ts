import { bucketOf } from '../../vocabulary/bucket.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { BookEntry, RestorableBook } from '../ports.ts';
import { decodePending, decodeWins, PackedOrders, personBytes, personOf } from './book-codec.ts';
import { createGatherer } from './gatherer.ts';
import { createRedisTurns, type RedisTurnsOptions } from './turns.ts';

export interface RedisTokenBookOptions extends RedisTurnsOptions {
  /** The name of our cluster: books of other names on the same servers share nothing with it (I7). */
  readonly space: string;
  /** How many buckets the cluster was made with. */
  readonly buckets: number;
  /** For how long, in ms from the last win of its phase and bucket, a win is kept. */
  readonly winsTtlMs: (phaseKey: PhaseKey) => number;
}

/** As functions/entries.lua allows; more go in several calls. */
const ORDERS_OF_ONE_CALL = 512;
/** Whoever fills the book again hands over a million orders; the client allows some hundred calls at once. */
const CALLS_AT_ONCE = 32;
/** Fields asked of one HSCAN; about a millisecond of the server's time. */
const SCAN_FIELDS = 500;

/** The keys of a bucket share a hash tag, so they lie in one slot, and so on one node. */
const keysIn = (space: string) => (bucket: number) => {
  const tag = bucketTag(space, bucket);
  return {
    wins: (phaseKey: PhaseKey) => `${tag}w${phaseKey}`,
    pending: (phaseKey: PhaseKey) => `${tag}o${phaseKey}`,
    count: `${tag}n`,
    phases: `${tag}p`,
    mark: `${tag}g`,
    tears: `${tag}t`,
  };
};
type Keys = ReturnType<ReturnType<typeof keysIn>>;

/** What is hashed to a slot. */
export const bucketTag = (space: string, bucket: number): string => `{${space}.b${bucket}}`;

/**
 * The book on Redis Cluster. One person is a field of two hashes: wins (which expire as a whole) and pending tokens
 * (which never expire, and leave when they are credited); so a token that is credited keeps some 80 bytes, and the
 * sweeper walks through what is pending only. The client is the caller's, and is not closed here.
 */
export function createRedisTokenBook(options: RedisTokenBookOptions): RestorableBook {
  const { client, buckets } = options;
  const turns = createRedisTurns(options);
  const readField = createGatherer(
    (key, fields: readonly Buffer[]) => client.command('HMGET', key, ...fields) as Promise<(Buffer | null)[]>,
  );
  const keysOf = keysIn(options.space);
  const keysOfPerson = (order: Pick<Order, 'actId'>) => keysOf(bucketOf(order.actId, buckets));

  /** One call for what lies together: a micro-batch is of one bucket, and nearly always of one phase. */
  async function inSlots<Item, Result>(
    items: readonly Item[],
    orderOf: (item: Item) => Order,
    send: (keys: Keys, phaseKey: PhaseKey, items: readonly Item[]) => Promise<Result>,
  ): Promise<readonly Result[]> {
    const groups = new Map<string, { bucket: number; phaseKey: PhaseKey; items: Item[] }>();
    for (const item of items) {
      const { actId, phaseKey } = orderOf(item);
      const bucket = bucketOf(actId, buckets);
      const group = groups.get(`${bucket}/${phaseKey}`);
      if (group) group.items.push(item);
      else groups.set(`${bucket}/${phaseKey}`, { bucket, phaseKey, items: [item] });
    }
    const calls: (() => Promise<Result>)[] = [];
    for (const { bucket, phaseKey, items: all } of groups.values())
      for (let from = 0; from < all.length; from += ORDERS_OF_ONE_CALL)
        calls.push(() => send(keysOf(bucket), phaseKey, all.slice(from, from + ORDERS_OF_ONE_CALL)));
    return makeAll(calls);
  }

  async function* pendingOf(bucket: number, phaseKey: PhaseKey): AsyncGenerator<BookEntry> {
    const key = keysOf(bucket).pending(phaseKey);
    let cursor = '0';
    do {
      const reply = await client.command('HSCAN', key, cursor, 'COUNT', SCAN_FIELDS);
      const [next, pairs] = reply as [Buffer, Buffer[]];
      for (let at = 0; at < pairs.length; at += 2)
        yield* decodePending(pairs[at + 1]!, personOf(pairs[at]!), phaseKey);
      cursor = next.toString();
    } while (cursor !== '0');
  }

  async function wholeness(bucket: number): Promise<{ readonly whole: boolean; readonly state: string }> {
    const { mark, tears } = keysOf(bucket);
    const [marked, state] = (await client.invoke('wholeness', [mark, tears], [])) as [Buffer, Buffer];
    return { whole: marked.equals(state), state: state.toString() };
  }

  const asking = new Map<number, Promise<boolean>>();

  /** Those who ask in one turn of the event loop, each after his read, get one answer. */
  function isWholeNow(bucket: number): Promise<boolean> {
    const known = asking.get(bucket);
    if (known) return known;
    const asked = wholeness(bucket).then(({ whole }) => whole);
    asking.set(bucket, asked);
    setImmediate(() => asking.delete(bucket));
    return asked;
  }

  return {
    async record(entries) {
      const firsts = await inSlots(
        entries,
        ({ order }) => order,
        async (keys, phaseKey, some) => {
          const packed = new PackedOrders(some.length);
          for (const { order, position } of some) packed.addEntry(order, position);
          const ended = turns.endingWith(some);
          const places = await client.invoke(
            'record',
            [keys.wins(phaseKey), keys.pending(phaseKey), keys.count, keys.phases, keys.mark, keys.tears],
            [packed.bytes(), Math.round(options.winsTtlMs(phaseKey)), phaseKey, ended.packed, turns.holder],
          );
          ended.done();
          return (places as number[]).map((place) => some[place]!.order);
        },
      );
      return firsts.flat();
    },

    async advance(orders, status) {
      await inSlots(
        orders,
        (order) => order,
        (keys, phaseKey, some) => {
          const packed = new PackedOrders(some.length);
          for (const order of some) packed.addNumber(order);
          return client.invoke('advance', [keys.pending(phaseKey), keys.count], [packed.bytes(), status]);
        },
      );
    },

    async outstandingOf(actId, phaseKey) {
      const value = await readField(keysOfPerson({ actId }).pending(phaseKey), personBytes(actId));
      return value ? decodePending(value, actId, phaseKey) : [];
    },

    async winsOf(actId, phaseKey) {
      const value = await readField(keysOfPerson({ actId }).wins(phaseKey), personBytes(actId));
      return value ? decodeWins(value, actId) : [];
    },

    takeTurn(actId, phaseKey) {
      const { wins, mark, tears } = keysOfPerson({ actId });
      return turns.take({ wins: wins(phaseKey), mark, tears }, actId);
    },

    isWhole: (actId) => isWholeNow(bucketOf(actId, buckets)),

    async outstandingCount() {
      const counts = await Promise.all(
        Array.from({ length: buckets }, (_, bucket) => client.command('GET', keysOf(bucket).count)),
      );
      return counts.reduce<number>((sum, count) => sum + Number(count ?? 0), 0);
    },

    async *pendingIn(bucket): AsyncGenerator<BookEntry> {
      const phases = (await client.command('SMEMBERS', keysOf(bucket).phases)) as Buffer[];
      for (const phase of phases) yield* pendingOf(bucket, Number(phase.toString()) as PhaseKey);
    },

    wholeness,

    async markWhole(bucket, state) {
      const { mark, tears } = keysOf(bucket);
      return Number(await client.invoke('mark_whole', [mark, tears], [state])) === 1;
    },

    async tear(bucket) {
      await client.command('INCR', keysOf(bucket).tears);
    },
  };
}

/** Makes all the calls, a few at a time, also behind one that fails; then throws the first failure. */
async function makeAll<Result>(calls: readonly (() => Promise<Result>)[]): Promise<Result[]> {
  const results: Result[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const caller = async () => {
    while (next < calls.length) {
      next += 1;
      await calls[next - 1]!().then(
        (result) => results.push(result),
        (error: unknown) => failures.push(error),
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(CALLS_AT_ONCE, calls.length) }, caller));
  if (failures.length > 0) throw failures[0];
  return results;
}
