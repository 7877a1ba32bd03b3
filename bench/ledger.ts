import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { migrate } from '../src/engines/postgres/migrate.ts';
import { openPool } from '../src/engines/postgres/pool.ts';
import { createLedger, ledgerMigrations } from '../src/ledger/index.ts';
import type { Order } from '../src/vocabulary/order.ts';
import { anOrder, seeded, shuffled } from '../test/support/orders.ts';
import { quiet, startTestPostgres } from '../test/support/postgres.ts';

export interface LedgerFigures {
  readonly creditsPerSecond: number;
  readonly copyRowsPerSecond: number;
  readonly singleTransactionCreditsPerSecond: number;
  /** COPY of the same rows into a table with the same columns and the same primary key. */
  readonly creditOverCopy: number;
  readonly creditOverSingleTransaction: number;
}

const ROWS = 200_000;
const SINGLES = 3_000;
const BATCH = 1_000;
/** Both go over this many connections at once. */
const CONNECTIONS = 2;

const ordersFrom = (first: number, count: number, rain: number): Order[] =>
  Array.from({ length: count }, (_, at) =>
    anOrder({ person: first + at, rain, fen: 1 + (at % 900), slice: 1 + (at % 5), index: at }),
  );

/** Credits as the creditor makes them: orders of many people in no order, a thousand a batch. */
async function creditRate(
  pool: Pool,
  orders: readonly Order[],
  batch: number,
  connections: number,
): Promise<number> {
  const ledger = createLedger({ pool, retry: { tries: 5, sleepMs: (ms) => delay(ms), random: () => 0.5 } });
  let next = 0;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (next < orders.length) {
        const mine = orders.slice(next, next + batch);
        next += batch;
        await ledger.credit(mine);
      }
    }),
  );
  return (orders.length / (performance.now() - start)) * 1_000;
}

async function copyRate(pool: Pool, orders: readonly Order[]): Promise<number> {
  await pool.query('DROP TABLE IF EXISTS bare; CREATE TABLE bare (LIKE ledger.posting INCLUDING ALL)');
  const texts: string[] = [];
  for (let at = 0; at < orders.length; at += BATCH) {
    texts.push(
      orders
        .slice(at, at + BATCH)
        .map(({ actId, amountFen, drawnAtMs, unit, phaseKey, orderNumber }) =>
          [actId, amountFen, drawnAtMs, unit.sliceId, phaseKey, unit.epoch, unit.index, 1, orderNumber].join(
            '\t',
          ),
        )
        .join('\n')
        .concat('\n'),
    );
  }
  let next = 0;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const client = await pool.connect();
      while (next < texts.length) {
        const stream = client.query(
          copyFrom(
            'COPY bare (act_id, amount_fen, at_ms, slice_id, phase_key, slice_epoch, slice_index, purse, ref) FROM STDIN',
          ),
        );
        stream.end(texts[next++]!);
        await once(stream, 'finish');
      }
      client.release();
    }),
  );
  return (orders.length / (performance.now() - start)) * 1_000;
}

/** All on one fresh server, in turns, the middle of three. */
export async function benchLedger(): Promise<LedgerFigures> {
  const server = await startTestPostgres('embedded');
  const pool = openPool({
    url: await server.createDatabase(),
    logger: quiet,
    connectionsMax: 8,
    applicationName: 'bench',
  });
  await migrate(pool, ledgerMigrations);
  const random = seeded(7);
  await creditRate(pool, ordersFrom(900_000, 20_000, 9), BATCH, CONNECTIONS);
  const runs: { credit: number; copy: number }[] = [];
  for (let run = 0; run < 3; run += 1) {
    const orders = shuffled(ordersFrom(1, ROWS, run + 1), random);
    runs.push({
      copy: await copyRate(pool, orders),
      credit: await creditRate(pool, orders, BATCH, CONNECTIONS),
    });
  }
  const single = await creditRate(pool, shuffled(ordersFrom(1, SINGLES, 50), random), 1, 1);
  await pool.end();
  await server.stop();
  const [, middle] = runs.sort((a, b) => a.credit / a.copy - b.credit / b.copy);
  return {
    creditsPerSecond: middle!.credit,
    copyRowsPerSecond: middle!.copy,
    singleTransactionCreditsPerSecond: single,
    creditOverCopy: middle!.credit / middle!.copy,
    creditOverSingleTransaction: middle!.credit / single,
  };
}
