import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { GrantLog, MicroBatch } from '../../engines/ports.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { createGranter, type Granter } from '../../stations/3-grant/grant.ts';
import type { Keyring } from '../../stations/4-seal/keyring.ts';
import { createSealingLine, promisedAt } from '../../stations/4-seal/sealing-line.ts';
import { createDoubts, type Doubts } from '../../stations/9-total/doubts.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { bucketOf } from '../../vocabulary/bucket.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { Stores, Untold } from '../stores/index.ts';
import { createSliceStates } from './slice-states.ts';

export interface Promises {
  readonly granter: Granter;
  /** Orders of which it is not known whether they were given. */
  readonly doubts: Doubts;
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
  logger: Logger;
}): Promises {
  const { stores, keyring, clock, metrics } = deps;
  const withoutLog = stores.appendLocally && createUnloggedPromise(stores, clock, metrics);
  const doubts = createDoubts({
    ledger: stores.ledger,
    book: stores.book,
    onBug: (error) => deps.logger.error({ err: error }, 'a packet could not be looked up for the total'),
  });
  const { countPromised } = stores;
  stores.onUntold?.(doubts.note);
  const line = (log: GrantLog) => ({
    keyring,
    log,
    onAppended: (entries: readonly Untold[]) => stores.book.record(entries),
    nowMs: clock.now,
  });
  const lines = stores.logs.map((log, bucket) =>
    createSealingLine({
      ...line(log),
      onLate: (entries) =>
        doubts.note(entries.map((one) => stores.late?.(one.order, one.position, bucket) ?? one)),
      ...(countPromised ? { onPromised: countPromised } : {}),
      ...(withoutLog ? { withoutLog: (batch) => withoutLog(batch, bucket) } : {}),
    }),
  );
  // What was promised before, and lost by the log, is promised apart: it was counted then.
  const linesAgain = stores.logsAgain?.map((log) => createSealingLine(line(log))) ?? lines;
  const bucketAt = (order: Pick<Order, 'actId'>): number => bucketOf(order.actId, stores.buckets);
  const granter = createGranter({
    book: stores.book,
    promise: (order, untilMs) => lines[bucketAt(order)]!.promise(order, untilMs),
    promisedAt: (actId, position) => promisedAt(stores.logs[bucketAt({ actId })]!, position),
    campaign: (order) => deps.campaign(order.campaignId),
    ...(stores.shared ? { sliceIsOpen: createSliceStates(stores.allotments, clock).isOpen } : {}),
  });
  return {
    granter,
    doubts,
    again: (order) => linesAgain[bucketAt(order)]!.promise(order),
    async drain() {
      await Promise.all([...lines, ...linesAgain].map((one) => one.drain()));
      await doubts.stop();
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
    const sequence = await stores.appendLocally!(batch, bucket);
    try {
      const { fenced, conflicting } = await stores.ledger.creditUnlogged(batch.orders);
      metrics.unlogged.inc(length);
      const refused = new Set([...fenced, ...conflicting]);
      const leaves = batch.orders.flatMap(({ orderNumber }, leaf) =>
        refused.has(orderNumber) ? [leaf] : [],
      );
      stores.notCounted?.(sequence, leaves);
      stores.toldUnlogged?.(batch.orders.filter(({ orderNumber }) => !refused.has(orderNumber)));
      return refused;
    } catch (error) {
      stores.notCounted?.(sequence);
      throw error;
    }
  };
}
