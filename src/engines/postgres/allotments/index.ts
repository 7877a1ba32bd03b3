import type { Pool, PoolClient } from 'pg';
import type { Budget } from '../../../campaign/snapshot.ts';
import { BrokenInvariant } from '../../../protocol/failures.ts';
import type { RandomBelow } from '../../../rules/cut.ts';
import { isLow } from '../../../rules/low.ts';
import type { Amount } from '../../../rules/share.ts';
import type { PhaseKey, SceneId } from '../../../vocabulary/ids.ts';
import type { Allotments, BudgetLine, LogSequence, SceneStock, Slice } from '../../ports.ts';
import type { Migration } from '../migrate.ts';
import { type RetryOptions, withRetry } from '../retryable.ts';
import { transaction } from '../transaction.ts';
import schema from './0001-allotment.sql';
import levels from './0002-levels.sql';
import fencedAt from './0003-fenced-at.sql';
import setBy from './0004-set-by.sql';
import { lockSlice, moveLines } from './chain.ts';
import { lease } from './lease.ts';
import readStockSql from './read-stock.sql';
import {
  type CountRow,
  countsOf,
  NONE,
  negative,
  roundOf,
  SLICE_COLUMNS,
  type SliceRow,
  sliceOf,
} from './rows.ts';
import { refusalOf, setBudgets } from './set-budgets.ts';

export const allotmentMigrations: readonly Migration[] = [
  { name: 'allotment/0001-allotment', sql: schema },
  { name: 'allotment/0002-levels', sql: levels },
  { name: 'allotment/0003-fenced-at', sql: fencedAt },
  { name: 'allotment/0004-set-by', sql: setBy },
];

/** Budgets and their slices on one Postgres. Leases are the slow path: exact and durable beats fast here. */
export function createAllotments(options: {
  pool: Pool;
  randomBelow: RandomBelow;
  retry: RetryOptions;
}): Allotments {
  const { pool } = options;
  const safely = <Result>(act: (client: PoolClient) => Promise<Result>) =>
    withRetry(() => transaction(pool, act), options.retry);

  return {
    async setBudgets(lines) {
      try {
        await safely((client) => setBudgets(client, lines));
        return undefined;
      } catch (error) {
        return refusalOf(error);
      }
    },
    lease: (ask) => safely((client) => lease(client, ask, options.randomBelow)),
    returnTail: (slice, fromIndex, fenReturned) =>
      safely((client) => returnTail(client, slice, { packets: BigInt(fromIndex), fen: fenReturned })),
    unclosed: () =>
      withRetry(async () => {
        const { rows } = await pool.query<SliceRow & { fenced_at: string[] | null }>(
          `SELECT ${SLICE_COLUMNS}, fenced_at FROM allotment.slice WHERE state <> 'closed' ORDER BY slice_id`,
        );
        return rows.map((row) => ({
          slice: sliceOf(row),
          holder: row.holder,
          state: row.state as 'open' | 'fenced',
          fencedAt: placesOf(row.fenced_at),
        }));
      }, options.retry),
    fence: (slice) =>
      withRetry(async () => {
        await pool.query(
          "UPDATE allotment.slice SET state = 'fenced' WHERE slice_id = $1 AND epoch = $2 AND state = 'open'",
          [slice.sliceId, slice.epoch],
        );
      }, options.retry),
    noteFences: (slice, places) =>
      withRetry(async () => {
        await pool.query('UPDATE allotment.slice SET fenced_at = $3 WHERE slice_id = $1 AND epoch = $2', [
          slice.sliceId,
          slice.epoch,
          places.map((place) => place ?? null),
        ]);
      }, options.retry),
    isOpen: (slice) =>
      withRetry(async () => {
        const { rowCount } = await pool.query(
          "SELECT 1 FROM allotment.slice WHERE slice_id = $1 AND epoch = $2 AND state = 'open'",
          [slice.sliceId, slice.epoch],
        );
        return rowCount === 1;
      }, options.retry),
    close: (slice, given) =>
      safely((client) => close(client, slice, { packets: BigInt(given.packets), fen: given.fen })),
    budgets: (phaseKey) =>
      withRetry(async () => {
        const { rows } = await pool.query<CountRow>(
          `SELECT scene_id, rain_id, total_packets, total_fen, remaining_packets, remaining_fen, leased_packets,
             leased_fen, given_packets, given_fen
           FROM allotment.line WHERE phase_key = $1 ORDER BY scene_id, rain_id`,
          [phaseKey],
        );
        return rows.map((row) => lineOf(phaseKey, row));
      }, options.retry),
    stock: (phaseKey, sceneIds) =>
      withRetry(async () => {
        const { rows } = await pool.query<CountRow & { of_scene: SceneId }>(readStockSql, [
          phaseKey,
          sceneIds,
        ]);
        return stockOf(rows);
      }, options.retry),
  };
}

type SliceName = Pick<Slice, 'sliceId' | 'epoch'>;

async function returnTail(
  client: PoolClient,
  slice: SliceName,
  from: { readonly packets: bigint; readonly fen: bigint },
): Promise<void> {
  const { row, chain } = await lockSlice(client, slice.sliceId);
  if (row.state !== 'open' || row.epoch !== slice.epoch || row.tail_is_back) return;
  const back: Amount = { packets: row.packets - from.packets, fen: from.fen };
  if (back.packets < 0n) return;
  await moveLines(client, chain, { remaining: back, leased: negative(back), given: NONE });
  await client.query(
    'UPDATE allotment.slice SET packets = packets - $2, fen = fen - $3, tail_is_back = true WHERE slice_id = $1',
    [row.slice_id, back.packets, back.fen],
  );
}

async function close(client: PoolClient, slice: SliceName, spent: Amount): Promise<void> {
  const { row, chain } = await lockSlice(client, slice.sliceId);
  if (row.state === 'closed' || row.epoch !== slice.epoch) return;
  if (row.state === 'open') throw new Error(`slice ${row.slice_id} is open; fence it before closing`);
  const leased: Amount = { packets: row.packets, fen: row.fen };
  const back: Amount = { packets: leased.packets - spent.packets, fen: leased.fen - spent.fen };
  if (back.packets < 0n || back.fen < 0n) {
    throw new BrokenInvariant(
      'I4',
      `slice ${row.slice_id} gave ${spent.packets} packets, ${spent.fen} fen; leased were ${leased.packets}, ${leased.fen}`,
    );
  }
  await moveLines(client, chain, { remaining: back, leased: negative(leased), given: spent });
  await client.query(
    "UPDATE allotment.slice SET state = 'closed', given_packets = $2, given_fen = $3 WHERE slice_id = $1",
    [row.slice_id, spent.packets, spent.fen],
  );
}

const placesOf = (places: readonly (string | bigint | null)[] | null): (LogSequence | undefined)[] =>
  (places ?? []).map((place) => (place === null ? undefined : Number(place)));

const lineOf = (phaseKey: PhaseKey, row: CountRow): BudgetLine => ({
  phaseKey,
  sceneId: row.scene_id,
  rainId: roundOf(row),
  ...countsOf(row),
});

function stockOf(rows: readonly (CountRow & { of_scene: SceneId })[]): SceneStock[] {
  const own = rows.filter((row) => row.scene_id === row.of_scene);
  return own.map((scene) => {
    const chain = rows.filter((row) => row.of_scene === scene.scene_id).map(countsOf);
    return {
      sceneId: scene.scene_id,
      ...countsOf(scene),
      available: leastOf(chain.map(({ remaining }) => remaining)),
      low: chain.some(isLow),
    };
  });
}

const leastOf = (budgets: readonly Budget[]): Budget => ({
  packets: Math.min(...budgets.map(({ packets }) => packets)),
  fen: budgets.reduce((least, { fen }) => (fen < least ? fen : least), budgets[0]!.fen),
});
