import { bucketOf } from '../../vocabulary/bucket.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { BookEntry, RestorableBook } from '../ports.ts';
import { decodePending, decodeWins, PackedOrders, personBytes, personOf } from './book-codec.ts';
import type { RedisClient } from './client.ts';
import { createReadGatherer } from './read-gatherer.ts';

export interface RedisTokenBookOptions {
  readonly client: RedisClient;
  /** How many buckets the cluster was made with. */
  readonly buckets: number;
  /** For how long, in ms from the last win of its phase and bucket, a win is kept. */
  readonly winsTtlMs: (phaseKey: PhaseKey) => number;
}

/** As functions/entries.lua allows; more go in several calls. */
const ORDERS_OF_ONE_CALL = 512;
/** Fields asked of one HSCAN; about a millisecond of the server's time. */
const SCAN_FIELDS = 500;

/** The keys of a bucket share a hash tag, so they lie in one slot, and so on one node. */
const keysOf = (bucket: number) => ({
  wins: (phaseKey: PhaseKey) => `{b${bucket}}w${phaseKey}`,
  pending: (phaseKey: PhaseKey) => `{b${bucket}}o${phaseKey}`,
  count: `{b${bucket}}n`,
  mark: `{b${bucket}}g`,
  tears: `{b${bucket}}t`,
});

/**
 * The book on Redis Cluster. One person is a field of two hashes: wins (which expire as a whole) and pending tokens
 * (which never expire, and leave when they are credited); so a token that is credited keeps some 80 bytes, and the
 * sweeper walks through what is pending only. The client is the caller's, and is not closed here.
 */
export function createRedisTokenBook(options: RedisTokenBookOptions): RestorableBook {
  const { client, buckets } = options;
  const readField = createReadGatherer(client);
  const keysOfPerson = (order: Pick<Order, 'actId'>) => keysOf(bucketOf(order.actId, buckets));

  /** One call for what lies together: a micro-batch is of one bucket, and nearly always of one phase. */
  async function inSlots<Item>(
    items: readonly Item[],
    orderOf: (item: Item) => Order,
    send: (keys: ReturnType<typeof keysOf>, phaseKey: PhaseKey, items: readonly Item[]) => Promise<unknown>,
  ): Promise<void> {
    const groups = new Map<string, { bucket: number; phaseKey: PhaseKey; items: Item[] }>();
    for (const item of items) {
      const { actId, phaseKey } = orderOf(item);
      const bucket = bucketOf(actId, buckets);
      const group = groups.get(`${bucket}/${phaseKey}`);
      if (group) group.items.push(item);
      else groups.set(`${bucket}/${phaseKey}`, { bucket, phaseKey, items: [item] });
    }
    const sent: Promise<unknown>[] = [];
    for (const { bucket, phaseKey, items: all } of groups.values())
      for (let from = 0; from < all.length; from += ORDERS_OF_ONE_CALL)
        sent.push(send(keysOf(bucket), phaseKey, all.slice(from, from + ORDERS_OF_ONE_CALL)));
    await allOf(sent);
  }

  return {
    record: (entries) =>
      inSlots(
        entries,
        ({ order }) => order,
        (keys, phaseKey, some) => {
          const packed = new PackedOrders(some.length);
          for (const { order, position } of some) packed.addEntry(order, position);
          return client.invoke(
            'record',
            [keys.wins(phaseKey), keys.pending(phaseKey), keys.count],
            [packed.bytes(), Math.round(options.winsTtlMs(phaseKey))],
          );
        },
      ),

    advance: (orders, status) =>
      inSlots(
        orders,
        (order) => order,
        (keys, phaseKey, some) => {
          const packed = new PackedOrders(some.length);
          for (const order of some) packed.addNumber(order);
          return client.invoke('advance', [keys.pending(phaseKey), keys.count], [packed.bytes(), status]);
        },
      ),

    async outstandingOf(actId, phaseKey) {
      const value = await readField(keysOfPerson({ actId }).pending(phaseKey), personBytes(actId));
      return value ? decodePending(value, actId, phaseKey) : [];
    },

    async winsOf(actId, phaseKey) {
      const value = await readField(keysOfPerson({ actId }).wins(phaseKey), personBytes(actId));
      return value ? decodeWins(value, actId) : [];
    },

    async outstandingCount() {
      const counts = await Promise.all(
        Array.from({ length: buckets }, (_, bucket) => client.command('GET', keysOf(bucket).count)),
      );
      return counts.reduce<number>((sum, count) => sum + Number(count ?? 0), 0);
    },

    async *pendingIn(bucket, phaseKey): AsyncGenerator<BookEntry> {
      let cursor = '0';
      do {
        const key = keysOf(bucket).pending(phaseKey);
        const reply = await client.command('HSCAN', key, cursor, 'COUNT', SCAN_FIELDS);
        const [next, pairs] = reply as [Buffer, Buffer[]];
        for (let at = 0; at < pairs.length; at += 2)
          yield* decodePending(pairs[at + 1]!, personOf(pairs[at]!), phaseKey);
        cursor = next.toString();
      } while (cursor !== '0');
    },

    async wholeness(bucket) {
      const { mark, tears } = keysOf(bucket);
      const [marked, state] = (await client.invoke('wholeness', [mark, tears], [])) as [Buffer, Buffer];
      return { whole: marked.equals(state), state: state.toString() };
    },

    async markWhole(bucket, state) {
      const { mark, tears } = keysOf(bucket);
      return Number(await client.invoke('mark_whole', [mark, tears], [state])) === 1;
    },

    async tear(bucket) {
      await client.command('INCR', keysOf(bucket).tears);
    },
  };
}

/** Waits for all of them, so that none goes on unseen; then throws the first failure. */
async function allOf(calls: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(calls);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
