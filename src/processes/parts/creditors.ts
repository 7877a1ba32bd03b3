import type { Logger } from 'pino';
import type { LogReader } from '../../engines/ports.ts';
import type { Fences } from '../../rules/fences.ts';
import { type Bookkeeper, createBookkeeper } from '../../stations/5-credit/bookkeeper.ts';
import { type Creditor, type CreditorStatus, createCreditor } from '../../stations/5-credit/creditor.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import { random } from '../randomness.ts';
import type { Stores } from '../stores/index.ts';

export interface Creditors {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Of all buckets of the cluster together; each bucket takes its share. */
  setRate(creditsPerSecond: number | undefined): void;
  /** Whether this process credits the bucket now. */
  owns(bucket: number): boolean;
  /** The sums over the buckets that this process credits. */
  status(): Omit<CreditorStatus, 'stalledBecause'> & { buckets: number[]; stalledBecause?: string };
}

/** With many buckets side by side, one statement each keeps the ledger busy; alone, a bucket needs two (creditor.ts). */
const IN_FLIGHT_OF_MANY = 1;

/** Longer than the longest pause between two looks at a book that is away (src/guard/bucket-guard.ts). */
const BOOK_CALM_MS = 6_000;

/** 5-credit: one creditor for each bucket that this process owns. */
export function createCreditors(deps: {
  stores: Stores;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  /** Promises an order anew that the log had lost. */
  promise: (order: Order) => Promise<unknown>;
  onFatal: (error: unknown) => void;
}): Creditors {
  const { stores } = deps;
  const creditors = new Map<number, Creditor>();
  const bookkeepers = new Map<number, Bookkeeper>();
  let rate: number | undefined;
  const share = (): number | undefined =>
    rate === undefined ? undefined : rate === 0 ? 0 : Math.max(1, rate / stores.buckets);

  function keepBook(bucket: number, reader: LogReader, fences: Fences): void {
    const { restorable } = stores;
    if (!restorable) return;
    const bookkeeper = createBookkeeper({
      bucket,
      reader,
      fences,
      log: stores.logs[bucket]!,
      book: restorable,
      ledger: stores.ledger,
      promise: deps.promise,
      calmMs: BOOK_CALM_MS,
      logger: deps.logger,
      onSwept: (swept) => {
        for (const [what, orders] of Object.entries(swept)) deps.metrics.swept.inc({ what }, orders);
      },
    });
    bookkeepers.set(bucket, bookkeeper);
    bookkeeper.start();
  }

  return {
    start: () =>
      stores.ownership.start(
        {
          gained(bucket, log, fences) {
            const creditor = createCreditor({
              log,
              fences,
              book: stores.book,
              ledger: stores.ledger,
              clock: deps.clock,
              logger: deps.logger.child({ bucket }),
              random,
              onFatal: deps.onFatal,
              ...(stores.buckets > 1 ? { inFlightMax: IN_FLIGHT_OF_MANY } : {}),
            });
            creditors.set(bucket, creditor);
            creditor.setRate(share());
            creditor.start();
            keepBook(bucket, log, fences);
          },
          async lost(bucket) {
            const creditor = creditors.get(bucket);
            creditors.delete(bucket);
            await bookkeepers.get(bucket)?.stop();
            bookkeepers.delete(bucket);
            await creditor?.stop();
          },
        },
        deps.onFatal,
      ),
    stop: () => stores.ownership.stop(),
    setRate(creditsPerSecond) {
      rate = creditsPerSecond;
      for (const creditor of creditors.values()) creditor.setRate(share());
    },
    owns: (bucket) => creditors.has(bucket),
    status() {
      const sum = {
        drained: 0,
        end: 0,
        acceptedOrders: 0,
        inHandOrders: 0,
        outcomes: { credited: 0, 'already-credited': 0, conflicting: 0, void: 0 },
      };
      let stalledBecause: string | undefined;
      for (const creditor of creditors.values()) {
        const one = creditor.status();
        for (const name of ['drained', 'end', 'acceptedOrders', 'inHandOrders'] as const)
          sum[name] += one[name];
        for (const name of Object.keys(sum.outcomes) as (keyof typeof sum.outcomes)[])
          sum.outcomes[name] += one.outcomes[name];
        stalledBecause ??= one.stalledBecause;
      }
      return {
        ...sum,
        buckets: [...creditors.keys()].sort((a, b) => a - b),
        ...(stalledBecause === undefined ? {} : { stalledBecause }),
      };
    },
  };
}
