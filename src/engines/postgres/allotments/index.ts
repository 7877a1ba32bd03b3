import type { Pool, PoolClient } from 'pg';
import { BrokenInvariant, isRefusal, type Refusal, refuse } from '../../../protocol/failures.ts';
import { cutDoubleMean, cutFixed, type RandomBelow } from '../../../rules/cut.ts';
import type { Fen } from '../../../vocabulary/fen.ts';
import type { PhaseKey, RainId, SceneId, SliceId } from '../../../vocabulary/ids.ts';
import { instantMs } from '../../../vocabulary/instant.ts';
import type { Allotments, BudgetLine, Slice, SliceLeaseAsk } from '../../ports.ts';
import type { Migration } from '../migrate.ts';
import { type RetryOptions, withRetry } from '../retryable.ts';
import { transaction } from '../transaction.ts';
import schema from './0001-allotment.sql';
import lockLinesSql from './lock-lines.sql';
import moveLinesSql from './move-lines.sql';
import setLineSql from './set-line.sql';
import uncuttableSql from './uncuttable.sql';

export const allotmentMigrations: readonly Migration[] = [{ name: 'allotment/0001-allotment', sql: schema }];

const CHECK_VIOLATION = '23514';
const TOTAL = 0;

interface Amount {
  readonly packets: bigint;
  readonly fen: bigint;
}
const NONE: Amount = { packets: 0n, fen: 0n };
const negative = (amount: Amount): Amount => ({ packets: -amount.packets, fen: -amount.fen });

interface LineRow {
  readonly rain_id: number;
  readonly rule: 'split' | 'fixed' | 'given';
  readonly packet_cap_fen: bigint;
  readonly remaining_packets: bigint;
  readonly remaining_fen: bigint;
}

interface SliceRow {
  readonly slice_id: bigint;
  readonly epoch: number;
  readonly phase_key: PhaseKey;
  readonly scene_id: SceneId;
  readonly rain_id: number;
  readonly holder: string;
  readonly state: 'open' | 'fenced' | 'closed';
  readonly amounts_fen: bigint[] | string[] | null;
  readonly packets: bigint;
  readonly fen: bigint;
  readonly deal_until_ms: bigint;
  readonly grant_until_ms: bigint;
}

const SLICE_COLUMNS =
  'slice_id, epoch, phase_key, scene_id, rain_id, holder, state, amounts_fen, packets, fen, deal_until_ms, grant_until_ms';

const sliceOf = (row: SliceRow): Slice => ({
  sliceId: row.slice_id as SliceId,
  epoch: row.epoch,
  phaseKey: row.phase_key,
  sceneId: row.scene_id,
  rainId: row.rain_id === TOTAL ? undefined : (row.rain_id as RainId),
  packetsFen: row.amounts_fen?.map((amount) => BigInt(amount) as Fen),
  packets: Number(row.packets),
  fen: row.fen as Fen,
  dealUntilMs: instantMs(Number(row.deal_until_ms)),
  grantUntilMs: instantMs(Number(row.grant_until_ms)),
});

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
        await safely(async (client) => {
          for (const line of sorted(lines)) {
            await client.query(setLineSql, [
              line.phaseKey,
              line.sceneId,
              line.rainId ?? TOTAL,
              line.rule,
              line.packetCapFen,
              line.total.packets,
              line.total.fen,
            ]);
          }
          await refuseUncuttable(client, lines);
        });
        return undefined;
      } catch (error) {
        if (error instanceof Uncuttable) return refuse('budget-exhausted', error.message);
        if ((error as { code?: string }).code !== CHECK_VIOLATION) throw error;
        return refuse('budget-exhausted', "a budget can't be lowered below what is leased or given already");
      }
    },
    lease: (ask) => safely((client) => lease(client, ask, options.randomBelow)),
    returnTail: (slice, fromIndex, fenReturned) =>
      safely(async (client) => {
        const row = await lockSlice(client, slice.sliceId);
        if (row.state !== 'open' || row.epoch !== slice.epoch) return;
        const back: Amount = { packets: row.packets - BigInt(fromIndex), fen: fenReturned };
        if (back.packets <= 0n) return;
        await moveLines(client, row, back, negative(back), NONE);
        await client.query(
          'UPDATE allotment.slice SET packets = packets - $2, fen = fen - $3 WHERE slice_id = $1',
          [row.slice_id, back.packets, back.fen],
        );
      }),
    unclosed: () =>
      safely(async (client) => {
        const { rows } = await client.query<SliceRow>(
          `SELECT ${SLICE_COLUMNS} FROM allotment.slice WHERE state <> 'closed' ORDER BY slice_id`,
        );
        return rows.map((row) => ({
          slice: sliceOf(row),
          holder: row.holder,
          state: row.state as 'open' | 'fenced',
        }));
      }),
    fence: (slice) =>
      safely(async (client) => {
        await client.query(
          "UPDATE allotment.slice SET state = 'fenced' WHERE slice_id = $1 AND epoch = $2 AND state = 'open'",
          [slice.sliceId, slice.epoch],
        );
      }),
    isOpen: (slice) =>
      withRetry(async () => {
        const { rowCount } = await pool.query(
          "SELECT 1 FROM allotment.slice WHERE slice_id = $1 AND epoch = $2 AND state = 'open'",
          [slice.sliceId, slice.epoch],
        );
        return rowCount === 1;
      }, options.retry),
    close: (slice, given) =>
      safely(async (client) => {
        const row = await lockSlice(client, slice.sliceId);
        if (row.state === 'closed' || row.epoch !== slice.epoch) return;
        if (row.state === 'open') throw new Error(`slice ${row.slice_id} is open; fence it before closing`);
        const spent: Amount = { packets: BigInt(given.packets), fen: given.fen };
        const leased: Amount = { packets: row.packets, fen: row.fen };
        const back: Amount = { packets: leased.packets - spent.packets, fen: leased.fen - spent.fen };
        if (back.packets < 0n || back.fen < 0n) {
          throw new BrokenInvariant(
            'I4',
            `slice ${row.slice_id} gave ${spent.packets} packets, ${spent.fen} fen; leased were ${leased.packets}, ${leased.fen}`,
          );
        }
        await moveLines(client, row, back, negative(leased), spent);
        await client.query(
          "UPDATE allotment.slice SET state = 'closed', given_packets = $2, given_fen = $3 WHERE slice_id = $1",
          [row.slice_id, spent.packets, spent.fen],
        );
      }),
    budgets: (phaseKey) =>
      safely(async (client) => {
        const { rows } = await client.query<
          LineRow & { scene_id: SceneId; total_packets: bigint; total_fen: bigint }
        >(
          'SELECT scene_id, rain_id, total_packets, total_fen, remaining_packets, remaining_fen FROM allotment.line WHERE phase_key = $1 ORDER BY scene_id, rain_id',
          [phaseKey],
        );
        return rows.map(
          (row): BudgetLine => ({
            phaseKey,
            sceneId: row.scene_id,
            rainId: row.rain_id === TOTAL ? undefined : (row.rain_id as RainId),
            total: { packets: Number(row.total_packets), fen: row.total_fen as Fen },
            remaining: { packets: Number(row.remaining_packets), fen: row.remaining_fen as Fen },
          }),
        );
      }),
  };
}

class Uncuttable extends Error {}

/** A round's line whose rest could not be dealt in full is refused, and with it everything that was set beside it. */
async function refuseUncuttable(
  client: PoolClient,
  lines: readonly { phaseKey: PhaseKey; sceneId: SceneId; rainId: RainId | undefined }[],
): Promise<void> {
  const rounds = lines.filter((line) => line.rainId !== undefined);
  if (rounds.length === 0) return;
  const { rows } = await client.query<{ scene_id: string; rain_id: number; packets: bigint; fen: bigint }>(
    uncuttableSql,
    [
      rounds.map((line) => line.phaseKey),
      rounds.map((line) => line.sceneId),
      rounds.map((line) => line.rainId),
    ],
  );
  const [first] = rows;
  if (first)
    throw new Uncuttable(
      `round ${first.rain_id} of scene ${first.scene_id} would be left with ${first.fen} fen for ${first.packets} packets, which can't be cut within the cap`,
    );
}

const sorted = <Line extends { sceneId: SceneId; rainId: RainId | undefined }>(
  lines: readonly Line[],
): Line[] =>
  [...lines].sort((a, b) =>
    a.sceneId < b.sceneId ? -1 : a.sceneId > b.sceneId ? 1 : (a.rainId ?? 0) - (b.rainId ?? 0),
  );

async function lease(
  client: PoolClient,
  ask: SliceLeaseAsk,
  randomBelow: RandomBelow,
): Promise<Slice | undefined> {
  const rainId = ask.rainId ?? TOTAL;
  const { rows: lines } = await client.query<LineRow>(lockLinesSql, [ask.phaseKey, ask.sceneId, rainId]);
  const own = lines.find((line) => line.rain_id === rainId);
  if (!own) return undefined;
  const wanted = BigInt(Math.max(1, ask.packetsWanted));
  const share =
    own.rule === 'given' ? givenShare(own, wanted, ask.fenWanted ?? 1n) : cutShare(own, lines, wanted);
  if (!share) return undefined;
  const amounts = own.rule === 'given' ? undefined : cut(own, share, randomBelow);
  await moveLines(
    client,
    { phase_key: ask.phaseKey, scene_id: ask.sceneId, rain_id: rainId },
    negative(share),
    share,
    NONE,
  );
  const { rows } = await client.query<SliceRow>(
    `INSERT INTO allotment.slice (phase_key, scene_id, rain_id, holder, amounts_fen, packets, fen, deal_until_ms, grant_until_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING ${SLICE_COLUMNS}`,
    [
      ask.phaseKey,
      ask.sceneId,
      rainId,
      ask.holder,
      amounts,
      share.packets,
      share.fen,
      ask.dealUntilMs,
      ask.grantUntilMs,
    ],
  );
  return sliceOf(rows[0]!);
}

/**
 * The round's proportional share: floor(remaining fen × n / remaining packets). What stays is payable again, because
 * the mean of both parts stays between 1 fen and the cap. The scene's total must cover it, or less is leased.
 */
function cutShare(own: LineRow, lines: readonly LineRow[], wanted: bigint): Amount | undefined {
  let packets = smallest(wanted, ...lines.map((line) => line.remaining_packets));
  while (packets > 0n) {
    const share = payable(own, packets);
    if (share && lines.every((line) => share.fen <= line.remaining_fen)) return share;
    packets /= 2n;
  }
  return undefined;
}

/**
 * A share that can be cut. A line whose totals were changed while slices were out may hold more money than its packets
 * can carry, or less than a fen for each: then what can be paid is leased, and the rest waits for the next change.
 */
function payable(line: LineRow, packets: bigint): Amount | undefined {
  const cap = line.packet_cap_fen;
  if (line.rule === 'fixed') {
    const each = smallest(line.remaining_fen / line.remaining_packets, cap);
    return each > 0n ? { packets, fen: packets * each } : undefined;
  }
  const fen = smallest((line.remaining_fen * packets) / line.remaining_packets, packets * cap);
  const covered = smallest(packets, fen);
  return covered > 0n ? { packets: covered, fen } : undefined;
}

/** As much money as is wanted and there, for as many packets: upstreams name the amounts later. */
function givenShare(own: LineRow, wanted: bigint, fenWanted: bigint): Amount | undefined {
  const share = {
    packets: smallest(wanted, own.remaining_packets),
    fen: smallest(fenWanted, own.remaining_fen),
  };
  return share.packets > 0n && share.fen > 0n ? share : undefined;
}

function cut(line: LineRow, share: Amount, randomBelow: RandomBelow): bigint[] {
  const count = Number(share.packets);
  const amounts =
    line.rule === 'fixed'
      ? cutFixed(share.fen, count, line.packet_cap_fen)
      : cutDoubleMean(share.fen, count, line.packet_cap_fen, randomBelow);
  if (isRefusal(amounts))
    throw new BrokenInvariant(
      'I4',
      `a budget line was left that can't be cut: ${(amounts as Refusal).detail}`,
    );
  return amounts;
}

async function lockSlice(client: PoolClient, sliceId: SliceId): Promise<SliceRow> {
  const { rows: found } = await client.query<SliceRow>(
    `SELECT ${SLICE_COLUMNS} FROM allotment.slice WHERE slice_id = $1`,
    [sliceId],
  );
  if (!found[0]) throw new Error(`there is no slice ${sliceId}`);
  await client.query(lockLinesSql, [found[0].phase_key, found[0].scene_id, found[0].rain_id]);
  const { rows } = await client.query<SliceRow>(
    `SELECT ${SLICE_COLUMNS} FROM allotment.slice WHERE slice_id = $1 FOR UPDATE`,
    [sliceId],
  );
  return rows[0]!;
}

type LineKey = Pick<SliceRow, 'phase_key' | 'scene_id' | 'rain_id'>;

async function moveLines(
  client: PoolClient,
  key: LineKey,
  remaining: Amount,
  leased: Amount,
  given: Amount,
): Promise<void> {
  await client.query(moveLinesSql, [
    key.phase_key,
    key.scene_id,
    key.rain_id,
    ...[remaining, leased, given].flatMap((amount) => [amount.packets, amount.fen]),
  ]);
}

const smallest = (...amounts: bigint[]): bigint => amounts.reduce((a, b) => (a < b ? a : b));
