import type { PoolClient } from 'pg';
import { type Refusal, refuse } from '../../../protocol/failures.ts';
import type { PhaseKey } from '../../../vocabulary/ids.ts';
import type { BudgetSetting } from '../../ports.ts';
import dropLevelsSql from './drop-levels.sql';
import lockTotalsSql from './lock-totals.sql';
import { TOTAL } from './rows.ts';
import setLevelSql from './set-level.sql';
import setLineSql from './set-line.sql';
import uncuttableSql from './uncuttable.sql';

const CHECK_VIOLATION = '23514';

/** Sets lines in the caller's transaction; what it throws rolls all of them back, see `refusalOf`. */
export async function setBudgets(client: PoolClient, settings: readonly BudgetSetting[]): Promise<void> {
  const levels = settings.filter(({ rule }) => rule === 'level');
  const isWholeFile = (one: BudgetSetting) => one.levels !== undefined;
  // What a level has out is counted anew from its scenes: none of them may move meanwhile.
  const counted = phasesOf(settings.filter((one) => one.rule === 'level' || isWholeFile(one)));
  if (counted.length > 0) await client.query(lockTotalsSql, [counted]);

  const changed: BudgetSetting[] = [];
  for (const line of sorted(settings.filter(({ rule }) => rule !== 'level')))
    if (await setLine(client, line)) changed.push(line);
  for (const phaseKey of phasesOf(settings.filter(isWholeFile))) {
    const staying = levels.filter((level) => level.phaseKey === phaseKey).map(({ sceneId }) => sceneId);
    await client.query(dropLevelsSql, [phaseKey, staying]);
  }
  for (const { phaseKey, sceneId, total } of sorted(levels))
    await client.query(setLevelSql, [phaseKey, sceneId, total.packets, total.fen]);
  await refuseUncuttable(client, changed);
}

/** The refusal that an error of `setBudgets` stands for; other errors are thrown on. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Uncuttable) return refuse('budget-exhausted', error.message);
  if ((error as { code?: string }).code !== CHECK_VIOLATION) throw error;
  return refuse('budget-exhausted', "a budget can't be lowered below what is leased or given already");
}

const phasesOf = (settings: readonly BudgetSetting[]): PhaseKey[] => [
  ...new Set(settings.map(({ phaseKey }) => phaseKey)),
];

/** Whether anything is different now. */
async function setLine(client: PoolClient, line: BudgetSetting): Promise<boolean> {
  const { rowCount } = await client.query(setLineSql, [
    line.phaseKey,
    line.sceneId,
    line.rainId ?? TOTAL,
    line.rule,
    line.packetCapFen,
    line.total.packets,
    line.total.fen,
    line.levels ?? null,
    line.version ?? null,
  ]);
  return rowCount === 1;
}

class Uncuttable extends Error {}

/** A change by which a round's rest could not be dealt in full is refused, and with it all that was set beside it. */
async function refuseUncuttable(client: PoolClient, changed: readonly BudgetSetting[]): Promise<void> {
  const rounds = changed.filter((line) => line.rainId !== undefined);
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

/** The order in which everybody locks. */
const sorted = (settings: readonly BudgetSetting[]): BudgetSetting[] =>
  [...settings].sort((a, b) =>
    a.sceneId < b.sceneId
      ? -1
      : a.sceneId > b.sceneId
        ? 1
        : (a.rainId ?? TOTAL) - (b.rainId ?? TOTAL) || a.phaseKey - b.phaseKey,
  );
