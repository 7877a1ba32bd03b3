import type { OrderName } from '../engines/ports.ts';
import { type Base, writes } from './partition.ts';
import creditedAmongSql from './sql/credited-among.sql';

/** Whether each of these orders is credited, in their order: one statement, of one moment. */
export async function areCredited({ pool, buckets }: Base, orders: readonly OrderName[]): Promise<boolean[]> {
  if (orders.length === 0) return [];
  const actIds = orders.map((order) => order.actId);
  const [count, asked] = writes(buckets, actIds);
  const { rows } = await pool.query<{ places: number[] }>({
    name: 'ledger-credited-among',
    text: creditedAmongSql,
    values: [
      actIds,
      orders.map((order) => order.phaseKey),
      orders.map((order) => order.orderNumber),
      count,
      asked ?? [null],
    ],
  });
  const credited = new Set(rows[0]!.places);
  return orders.map((_, index) => credited.has(index + 1));
}
