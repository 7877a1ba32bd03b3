import { migrate } from '../src/engines/postgres/migrate.ts';
import { openPool } from '../src/engines/postgres/pool.ts';
import { ledgerMigrations } from '../src/ledger/index.ts';
import type { Order } from '../src/vocabulary/order.ts';
import { anOrder, seeded, shuffled } from '../test/support/orders.ts';
import { quiet, startTestPostgres } from '../test/support/postgres.ts';
import { median } from './figures.ts';
import { copy, createBareTable, credit, SLICES } from './ledger-work.ts';
import { serverCpu } from './server-cpu.ts';

export interface LedgerFigures {
  readonly creditsPerSecond: number;
  readonly copyRowsPerSecond: number;
  readonly singleTransactionCreditsPerSecond: number;
  /** Microseconds of the server's CPU a row; both medians, 0 where it can't be read. */
  readonly creditServerCpuUs: number;
  readonly copyServerCpuUs: number;
  /** Pieces, each with its row for the downstream, in batches of their own. */
  readonly pieceCreditsPerSecond: number;
  readonly pieceServerCpuUs: number;
  /** Orders a transaction and connections, the same for both. */
  readonly ordersABatch: number;
  readonly connections: number;
  /** COPY of the same rows into a table with the same columns, key and number of rows. */
  readonly creditOverCopy: number;
  readonly creditOverSingleTransaction: number;
}

const PEOPLE = 160_000;
/** As many as one gets in a night. */
const PACKETS_EACH = 3;
const ROUNDS = 11;
const SINGLES = 300;
/** As the creditor does it (5-credit/creditor.ts). */
const BATCH = 2_000;
const CONNECTIONS = 2;

/** A night's orders, shuffled: first packets, which open an account, and further ones. */
const night = (): Order[] =>
  shuffled(
    Array.from({ length: PEOPLE * PACKETS_EACH }, (_, at) =>
      anOrder({
        person: at % PEOPLE,
        rain: 1 + Math.floor(at / PEOPLE),
        fen: 1 + (at % 900),
        slice: 1 + (at % SLICES),
        index: at,
      }),
    ),
    seeded(7),
  );

const pieceOf = (order: Order): Order => ({
  ...order,
  awardType: 'shop-coupon',
  orderNumber: order.orderNumber.replace('_cash_live', '_shop-coupon_live') as Order['orderNumber'],
});

/** All on one fresh server; COPY, credits, pieces and single credits in turns, the medians of all turns but the first. */
export async function benchLedger(): Promise<LedgerFigures> {
  const server = await startTestPostgres('embedded');
  const pool = openPool({
    url: await server.createDatabase(),
    logger: quiet,
    connectionsMax: 8,
    applicationName: 'bench',
  });
  await migrate(pool, ledgerMigrations);
  await createBareTable(pool);
  const cpuMs = await serverCpu(pool);
  const orders = night();
  const size = orders.length / (ROUNDS + 1);
  const rounds: Record<
    'creditMs' | 'copyMs' | 'pieceMs' | 'singleMs' | 'creditCpu' | 'copyCpu' | 'pieceCpu',
    number
  >[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const mine = orders.slice(round * size, (round + 1) * size);
    const cpu = [cpuMs()];
    const copyMs = await copy(pool, mine, BATCH, CONNECTIONS);
    cpu.push(cpuMs());
    const creditMs = await credit(pool, mine.slice(SINGLES), BATCH, CONNECTIONS);
    cpu.push(cpuMs());
    const pieceMs = await credit(pool, mine.map(pieceOf), BATCH, CONNECTIONS);
    cpu.push(cpuMs());
    const singleMs = await credit(pool, mine.slice(0, SINGLES), 1, 1);
    rounds.push({
      copyMs: copyMs / size,
      creditMs: creditMs / (size - SINGLES),
      singleMs: singleMs / SINGLES,
      copyCpu: (cpu[1]! - cpu[0]!) / size,
      creditCpu: (cpu[2]! - cpu[1]!) / (size - SINGLES),
      pieceMs: pieceMs / size,
      pieceCpu: (cpu[3]! - cpu[2]!) / size,
    });
  }
  await pool.end();
  await server.stop();
  const of = (figure: (round: (typeof rounds)[number]) => number) => median(rounds.slice(1).map(figure));
  return {
    creditsPerSecond: 1_000 / of((round) => round.creditMs),
    copyRowsPerSecond: 1_000 / of((round) => round.copyMs),
    singleTransactionCreditsPerSecond: 1_000 / of((round) => round.singleMs),
    creditServerCpuUs: 1_000 * of((round) => round.creditCpu),
    copyServerCpuUs: 1_000 * of((round) => round.copyCpu),
    pieceCreditsPerSecond: 1_000 / of((round) => round.pieceMs),
    pieceServerCpuUs: 1_000 * of((round) => round.pieceCpu),
    ordersABatch: BATCH,
    connections: CONNECTIONS,
    creditOverCopy: of((round) => round.copyMs / round.creditMs),
    creditOverSingleTransaction: of((round) => round.singleMs / round.creditMs),
  };
}
