// What the ledger's benches do to a database: credits as 5-credit makes them, and a bare COPY of the same rows.
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { createLedger } from '../src/ledger/index.ts';
import type { Order } from '../src/vocabulary/order.ts';

export const SLICES = 5;

/** Runs over all batches on so many connections at once; gives the time in ms. */
async function timed<Batch>(
  batches: readonly Batch[],
  connections: number,
  work: (next: () => Batch | undefined) => Promise<void>,
): Promise<number> {
  let at = 0;
  const start = performance.now();
  await Promise.all(Array.from({ length: connections }, () => work(() => batches[at++])));
  return performance.now() - start;
}

const inBatches = (orders: readonly Order[], batch: number): Order[][] =>
  Array.from({ length: Math.ceil(orders.length / batch) }, (_, at) =>
    orders.slice(at * batch, (at + 1) * batch),
  );

/** Ms that crediting takes: orders of many people in no order, `batch` of them a transaction. */
export function credit(
  pool: Pool,
  orders: readonly Order[],
  batch: number,
  connections: number,
): Promise<number> {
  const ledger = createLedger({ pool, retry: { tries: 5, sleepMs: (ms) => delay(ms), random: () => 0.5 } });
  return timed(inBatches(orders, batch), connections, async (next) => {
    for (let mine = next(); mine; mine = next()) await ledger.credit(mine);
  });
}

/** A table like the ledger's, with the same key and the same durability, and nothing that keeps it. */
export const createBareTable = (pool: Pool) =>
  pool.query('CREATE TABLE bare (LIKE ledger.posting INCLUDING ALL)');

const COLUMNS = 'act_id, amount_fen, at_ms, slice_id, phase_key, slice_epoch, slice_index, purse, ref';

const copyText = (orders: readonly Order[]): string => {
  let text = '';
  for (const { actId, amountFen, drawnAtMs, unit, phaseKey, orderNumber } of orders)
    text += `${actId}\t${amountFen}\t${drawnAtMs}\t${unit.sliceId}\t${phaseKey}\t${unit.epoch}\t${unit.index}\t1\t${orderNumber}\n`;
  return text;
};

/**
 * Ms that a bare COPY of the same rows takes: from the same orders, in transactions of the same size, over as many
 * connections.
 */
export function copy(
  pool: Pool,
  orders: readonly Order[],
  batch: number,
  connections: number,
): Promise<number> {
  return timed(inBatches(orders, batch), connections, async (next) => {
    const client = await pool.connect();
    for (let mine = next(); mine; mine = next()) {
      const stream = client.query(copyFrom(`COPY bare (${COLUMNS}) FROM STDIN`));
      stream.end(copyText(mine));
      await once(stream, 'finish');
    }
    client.release();
  });
}
