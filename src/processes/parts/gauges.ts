import type { AnnouncementReader } from '../../guard/announcement-reader.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Stores } from '../stores/index.ts';
import type { Creditors } from './creditors.ts';
import type { Throttle } from './throttle.ts';

/** What is looked up when somebody scrapes. */
export function watchGauges(
  metrics: Metrics,
  of: {
    readonly creditors: Creditors;
    readonly connections: () => number;
    readonly book: Stores['book'];
    readonly reader: Pick<AnnouncementReader, 'current'>;
    readonly throttle: Throttle;
  },
): void {
  const { creditors } = of;
  metrics.watchCounts(
    'hongbao_credited_orders_total',
    'Orders that crediting is done with, by what became of them',
    'outcome',
    () => creditors.status().outcomes,
  );
  metrics.watch(
    'hongbao_crediting_orders',
    'Orders read from the log and not done with; with the done ones, all that were read',
    () => creditors.status().inHandOrders,
  );
  metrics.watch('hongbao_connections', 'WebSocket connections that are open', of.connections);
  metrics.watch('hongbao_backlog_orders', 'Promised and not known to be credited', () =>
    of.book.outstandingCount().catch(() => Number.NaN),
  );
  metrics.watch(
    'hongbao_log_records',
    'Records in the grant log, of the buckets credited here',
    () => creditors.status().end,
  );
  metrics.watch(
    'hongbao_announcement_sequence',
    'What control announced last, as this process knows it',
    () => of.reader.current().sequence,
  );
  metrics.watch(
    'hongbao_event_loop_delay_seconds',
    'Event-loop delay, 99th percentile of the last second',
    () => of.throttle.loopDelayMsP99() / 1_000,
  );
}
