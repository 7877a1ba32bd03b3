import { setTimeout as delay } from 'node:timers/promises';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { MicroBatch, TokenBook } from '../../engines/ports.ts';
import { type CreditedWins, createCreditedWins } from '../../guard/credited-wins.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { givenBy } from '../../rules/hot-total.ts';
import { createGranter, type Granter } from '../../stations/3-grant/grant.ts';
import type { Keyring } from '../../stations/4-seal/keyring.ts';
import { createSealingLine, promisedAt } from '../../stations/4-seal/sealing-line.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { bucketOf } from '../../vocabulary/bucket.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { Stores } from '../stores/index.ts';
import { createSliceStates } from './slice-states.ts';

export interface Promises {
  readonly granter: Granter;
  readonly creditedWins: CreditedWins;
  /** Seals and appends, asking nothing else: for orders that were granted before. */
  again(order: Order): Promise<unknown>;
  /** Resolves when nothing is under way any more. */
  drain(): Promise<void>;
}

/** Without its log a gateway credits by itself, at this rate: all gateways together must not run the ledger over. */
const UNLOGGED_PER_SECOND = 1_000;
const UNLOGGED_WAIT_MS_MAX = 1_000;

/** 3-grant and 4-seal: a sealing line for each bucket, so that a micro-batch is of one. */
export function createPromises(deps: {
  stores: Stores;
  keyring: Keyring;
  campaign: (id: string) => CampaignSnapshot | undefined;
  clock: Clock;
  metrics: Metrics;
}): Promises {
  const { stores, keyring, clock, metrics } = deps;
  const withoutLog = stores.appendLocally && createUnloggedPromise(stores, clock, metrics);
  const record = async (entries: Parameters<TokenBook['record']>[0]): Promise<void> => {
    // The book knows what was never promised before; what it can't vouch for, the ledger adds (9-total).
    for (const order of await stores.book.record(entries)) stores.totals.add(order.phaseKey, givenBy(order));
  };
  const lines = stores.logs.map((log, bucket) =>
    createSealingLine({
      keyring,
      log,
      onAppended: record,
      nowMs: clock.now,
      ...(withoutLog ? { withoutLog: (batch) => withoutLog(batch, bucket) } : {}),
    }),
  );
  const bucketAt = (order: Pick<Order, 'actId'>): number => bucketOf(order.actId, stores.buckets);
  const creditedWins = createCreditedWins({
    logs: stores.logs,
    ledger: stores.ledger,
    monotonicMs: clock.monotonicMs,
  });
  const granter = createGranter({
    book: stores.book,
    creditedWins,
    promise: (order, untilMs) => lines[bucketAt(order)]!.promise(order, untilMs),
    promisedAt: (actId, position) => promisedAt(stores.logs[bucketAt({ actId })]!, position),
    campaign: (order) => deps.campaign(order.campaignId),
    async fateOf({ actId, phaseKey, orderNumber, unit }) {
      const unclosed = await stores.allotments.unclosed();
      // Asked behind that: what a closed slice has not credited by now, it never will.
      const { credited } = await stores.ledger.wallet({ actId, phaseKey }, [orderNumber]);
      if (credited.has(orderNumber)) return 'credited';
      return unclosed.some(({ slice }) => slice.sliceId === unit.sliceId) ? 'unknown' : 'void';
    },
    ...(stores.shared ? { sliceIsOpen: createSliceStates(stores.allotments, clock).isOpen } : {}),
  });
  return {
    granter,
    creditedWins,
    again: (order) => lines[bucketAt(order)]!.promise(order),
    async drain() {
      await Promise.all(lines.map((one) => one.drain()));
    },
  };
}

/**
 * The seed's last stand but one: no log, so the order goes into this gateway's own journal and straight into the
 * ledger, where the slice's fence is checked. What would wait too long for its turn gets the log's fault.
 */
function createUnloggedPromise(stores: Stores, clock: Clock, metrics: Metrics) {
  let turnAtMs = 0;
  return async (batch: MicroBatch, bucket: number): Promise<ReadonlySet<OrderNumber>> => {
    const { length } = batch.orders;
    const nowMs = clock.monotonicMs();
    const waitMs = Math.max(0, turnAtMs - nowMs);
    if (waitMs > UNLOGGED_WAIT_MS_MAX)
      throw new RetryableFault(
        'log-unavailable',
        'the log is down, and the ledger takes no more by itself',
        2_000,
      );
    turnAtMs = nowMs + waitMs + (length * 1_000) / UNLOGGED_PER_SECOND;
    await delay(waitMs);
    await stores.appendLocally!(batch, bucket);
    const { fenced, conflicting } = await stores.ledger.creditUnlogged(batch.orders);
    metrics.unlogged.inc(length);
    return new Set([...fenced, ...conflicting]);
  };
}
