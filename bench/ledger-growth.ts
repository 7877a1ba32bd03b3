import pg from 'pg';
import { migrate } from '../src/engines/postgres/migrate.ts';
import { openPool } from '../src/engines/postgres/pool.ts';
import { ledgerMigrations } from '../src/ledger/index.ts';
import type { Order } from '../src/vocabulary/order.ts';
import { anOrder } from '../test/support/orders.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../test/support/postgres.ts';
import { credit, SLICES } from './ledger-work.ts';
import { serverCpu } from './server-cpu.ts';

export interface GrowthFigures {
  readonly fewRows: number;
  readonly manyRows: number;
  /** Microseconds a credit, by the clock and of the server's CPU; means. */
  readonly fewClockUs: number;
  readonly manyClockUs: number;
  readonly fewServerCpuUs: number;
  readonly manyServerCpuUs: number;
  /** How much dearer a credit is among many rows, by the server's CPU (by the clock where that can't be read). */
  readonly creditCostManyOverFew: number;
  /** The same right after a checkpoint, while pages that are touched first are written to the log in full. */
  readonly creditCostManyOverFewAfterCheckpoint: number;
}

const FEW = 100_000;
const MANY = 10_000_000;
const PACKETS_A_PERSON_MAX = 3;
/** Credits measured a turn, on a ledger of each size. */
const TURN = 20_000;
/** Behind a checkpoint: until here most pages were touched once. */
const TURNS_OF_FIRST_TOUCHES = 20;
const TURNS = 40;
const BATCH = 2_000;
const CONNECTIONS = 2;

/**
 * A ledger with so many rows, 2.5 packets a person on average, as a night leaves it: people in no order, index pages
 * two thirds full. Written by the server itself, which is quicker.
 */
async function filled(server: TestPostgres, rows: number) {
  const url = await server.createDatabase();
  const pool = openPool({
    url,
    logger: quiet,
    connectionsMax: CONNECTIONS + 1,
    applicationName: 'bench',
  });
  await migrate(pool, ledgerMigrations);
  const people = Math.ceil((rows + TURN * TURNS) / 2.5);
  const places = PACKETS_A_PERSON_MAX * people;
  const step = strideFor(places);
  // Not of the pool, whose statements have a deadline.
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("SET maintenance_work_mem = '512MB'; SET work_mem = '256MB'");
  await client.query('ALTER TABLE ledger.posting DROP CONSTRAINT posting_pkey');
  await client.query(
    `INSERT INTO ledger.posting (act_id, amount_fen, at_ms, slice_id, phase_key, slice_epoch, slice_index, purse, ref)
     SELECT 1000000 + place % $3, 1 + place % 900, 1800000000000, 1 + place % $4, 3, 1, place, 1,
            1000000 + place % $3 || '_cash_' || 1 + place / $3 || '_cash_live'
     FROM generate_series(0, $1::bigint - 1) AS made, LATERAL (SELECT made * $2::bigint % ($3::bigint * ${PACKETS_A_PERSON_MAX}) AS place) AS at`,
    [rows, step, people, SLICES],
  );
  await client.query(
    'ALTER TABLE ledger.posting ADD PRIMARY KEY (act_id, phase_key, purse, ref) WITH (fillfactor = 67)',
  );
  await client.query('VACUUM ANALYZE ledger.posting');
  // As warm as crediting would have left it: an index scan reads through the shared buffers.
  await client.query('SET enable_seqscan = off');
  await client.query('SELECT count(ref) FROM ledger.posting');
  await client.end();
  let made = rows;
  /** The next orders of the same night. Stepping by a stride with no common divisor visits each place once. */
  const next = (count: number): Order[] =>
    Array.from({ length: count }, () => {
      const place = Number((BigInt(made) * BigInt(step)) % BigInt(places));
      made += 1;
      return anOrder({
        person: place % people,
        rain: 1 + Math.floor(place / people),
        fen: 1 + (place % 900),
        slice: 1 + (place % SLICES),
        index: place,
      });
    });
  return { pool, next };
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** About 0.618 of `places`, which spreads neighbours far apart. */
function strideFor(places: number): number {
  let step = Math.floor(places * 0.618_033_988_749);
  while (divisor(step, places) !== 1) step += 1;
  return step;
}

/**
 * Fills a ledger with ten million rows and one with a hundred thousand, then credits in turns to both. The large one
 * begins with a checkpoint, after which every page that is touched first is written to the log in full: 0.1 million
 * pages, once in the 16 million credits that fill `max_wal_size`. So those turns are told apart from the rest. Means,
 * because these costs come in lumps.
 */
export async function benchLedgerGrowth(): Promise<GrowthFigures> {
  const server = await startTestPostgres('embedded');
  const many = await filled(server, MANY);
  const few: Awaited<ReturnType<typeof filled>>[] = [];
  const cpuMs = await serverCpu(many.pool);
  const turn = async ({ pool, next }: typeof many) => {
    const orders = next(TURN);
    const before = cpuMs();
    const clockMs = await credit(pool, orders, BATCH, CONNECTIONS);
    return { clockUs: (1_000 * clockMs) / TURN, cpuUs: (1_000 * (cpuMs() - before)) / TURN };
  };
  await many.pool.query('CHECKPOINT');
  const turns: { few: Awaited<ReturnType<typeof turn>>; many: Awaited<ReturnType<typeof turn>> }[] = [];
  for (let at = 0; at < TURNS; at += 1) {
    // A fresh one every so often, so that it stays small.
    if (at % 4 === 0) few.unshift(await filled(server, FEW));
    turns.push({ few: await turn(few[0]!), many: await turn(many) });
  }
  for (const { pool } of [many, ...few]) await pool.end();
  await server.stop();
  const first = figuresOf(turns.slice(0, TURNS_OF_FIRST_TOUCHES));
  const rest = figuresOf(turns.slice(TURNS_OF_FIRST_TOUCHES));
  return {
    fewRows: FEW,
    manyRows: MANY,
    ...rest,
    creditCostManyOverFew: manyOverFew(rest),
    creditCostManyOverFewAfterCheckpoint: manyOverFew(first),
  };
}

type Costs = Pick<GrowthFigures, 'fewClockUs' | 'manyClockUs' | 'fewServerCpuUs' | 'manyServerCpuUs'>;

function figuresOf(
  turns: readonly Readonly<Record<'few' | 'many', { readonly clockUs: number; readonly cpuUs: number }>>[],
): Costs {
  const of = (figure: (one: (typeof turns)[number]) => number) =>
    turns.reduce((sum, one) => sum + figure(one), 0) / turns.length;
  return {
    fewClockUs: of((one) => one.few.clockUs),
    manyClockUs: of((one) => one.many.clockUs),
    fewServerCpuUs: of((one) => one.few.cpuUs),
    manyServerCpuUs: of((one) => one.many.cpuUs),
  };
}

const manyOverFew = (costs: Costs): number =>
  costs.fewServerCpuUs > 0
    ? costs.manyServerCpuUs / costs.fewServerCpuUs
    : costs.manyClockUs / costs.fewClockUs;
