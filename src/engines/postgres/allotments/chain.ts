import type { PoolClient } from 'pg';
import { RetryableFault } from '../../../protocol/failures.ts';
import type { Amount } from '../../../rules/share.ts';
import type { SliceId } from '../../../vocabulary/ids.ts';
import lockLinesSql from './lock-lines.sql';
import moveLinesSql from './move-lines.sql';
import { type LineRow, SLICE_COLUMNS, type SliceRow, TOTAL } from './rows.ts';

/** What says which lines a slice moves: its round's, its scene's, and the levels that the scene names. */
export type ChainKey = Pick<SliceRow, 'phase_key' | 'scene_id' | 'rain_id'>;

/** Lines that this transaction has locked. */
export interface Chain {
  readonly key: ChainKey;
  readonly levels: readonly string[];
  readonly lines: readonly LineRow[];
}

/** Locks them in key order. Whoever finds that the scene was given other levels meanwhile begins anew. */
export async function lockChain(
  client: PoolClient,
  key: ChainKey,
  levels: readonly string[],
): Promise<Chain> {
  const { rows: lines } = await client.query<LineRow>(lockLinesSql, [
    key.phase_key,
    key.scene_id,
    key.rain_id,
    levels,
  ]);
  const now = lines.find((line) => isTotalOf(key, line))?.levels ?? [];
  // A level that was dropped and set anew while we waited for its lock is another row, which is not locked.
  const isWhole = levels.every((path) => lines.some(({ scene_id }) => scene_id === path));
  if (!isWhole || now.length !== levels.length || now.some((path) => !levels.includes(path)))
    throw new RetryableFault('ledger-unavailable', `scene ${key.scene_id} was given other levels`, 1);
  return { key, levels, lines };
}

export const isTotalOf = (key: ChainKey, line: Pick<LineRow, 'scene_id' | 'rain_id'>): boolean =>
  line.scene_id === key.scene_id && line.rain_id === TOTAL;

/** A slice, locked behind its lines. */
export async function lockSlice(
  client: PoolClient,
  sliceId: SliceId,
): Promise<{ readonly row: SliceRow; readonly chain: Chain }> {
  const { rows: found } = await client.query<ChainKey & { levels: readonly string[] | null }>(
    `SELECT s.phase_key, s.scene_id, s.rain_id, l.levels FROM allotment.slice AS s
     LEFT JOIN allotment.line AS l ON l.phase_key = s.phase_key AND l.scene_id = s.scene_id AND l.rain_id = 0
     WHERE s.slice_id = $1`,
    [sliceId],
  );
  if (!found[0]) throw new Error(`there is no slice ${sliceId}`);
  const chain = await lockChain(client, found[0], found[0].levels ?? []);
  const { rows } = await client.query<SliceRow>(
    `SELECT ${SLICE_COLUMNS} FROM allotment.slice WHERE slice_id = $1 FOR UPDATE`,
    [sliceId],
  );
  return { row: rows[0]!, chain };
}

/** Moves amounts between remaining, leased and given in every line of the chain; they sum to nothing. */
export async function moveLines(
  client: PoolClient,
  { key, levels }: Chain,
  moved: { readonly remaining: Amount; readonly leased: Amount; readonly given: Amount },
): Promise<void> {
  await client.query(moveLinesSql, [
    key.phase_key,
    key.scene_id,
    key.rain_id,
    levels,
    ...[moved.remaining, moved.leased, moved.given].flatMap((amount) => [amount.packets, amount.fen]),
  ]);
}
