import type { PoolClient } from 'pg';
import type { PhaseKey } from '../../../vocabulary/ids.ts';
import type { ReissueLineUnchecked, Reissues } from '../../ports.ts';
import claimSql from './claim.sql';
import { lockHeld, noteEvent } from './job-row.ts';
import markDuplicatesSql from './mark-duplicates.sql';
import noteCheckedSql from './note-checked.sql';
import { type AskedRow, askedOf, type DueRow, dueOf, jobOf } from './rows.ts';
import settleSql from './settle.sql';
import takeSql from './take.sql';

type Work = Pick<
  Reissues,
  | 'claim'
  | 'renew'
  | 'release'
  | 'unchecked'
  | 'noteChecked'
  | 'finishCheck'
  | 'take'
  | 'settle'
  | 'putBack'
  | 'finish'
>;
type Safely = <Result>(act: (client: PoolClient) => Promise<Result>) => Promise<Result>;

/** The half of the lists that a worker uses. Each act is one transaction that holds the job's row, by the newest epoch only. */
export function createWork(safely: Safely): Work {
  return {
    claim: (worker, nowMs, untilMs, except) =>
      safely(async (client) => {
        const { rows } = await client.query<{ job_id: number; epoch: number }>(claimSql, [
          worker,
          nowMs,
          untilMs,
          [...except],
        ]);
        return rows[0] && { jobId: rows[0].job_id, epoch: rows[0].epoch };
      }),
    renew: (hold, untilMs) =>
      safely(async (client) => {
        const row = await lockHeld(client, hold);
        if (!row) return undefined;
        await client.query('UPDATE reissue.job SET lease_until_ms = $2 WHERE job_id = $1', [
          hold.jobId,
          untilMs,
        ]);
        return jobOf(row);
      }),
    release: (hold) =>
      safely(async (client) => {
        await client.query(
          'UPDATE reissue.job SET lease_until_ms = 0, worker = NULL WHERE job_id = $1 AND epoch = $2',
          [hold.jobId, hold.epoch],
        );
      }),
    unchecked: (hold, limit) =>
      safely(async (client) => {
        const { rows } = await client.query<AskedRow & { user_key: Buffer }>(
          `SELECT line, campaign_id, scene_id, rain_id, app_id, user_key, amount_fen, drawn_at_ms
           FROM reissue.line WHERE job_id = $1 AND state = 'unchecked' ORDER BY line LIMIT $2`,
          [hold.jobId, limit],
        );
        return rows.map((row): ReissueLineUnchecked => ({ ...askedOf(row), userKey: row.user_key }));
      }),
    noteChecked: (hold, checked) =>
      safely(async (client) => {
        const row = await lockHeld(client, hold);
        if (row?.state !== 'checking') return false;
        const right = checked.map((one) => ('wrong' in one ? undefined : one));
        await client.query(noteCheckedSql, [
          hold.jobId,
          checked.map((one) => one.line),
          checked.map((one) => ('wrong' in one ? one.wrong : null)),
          right.map((one) => one?.actId ?? null),
          right.map((one) => one?.phaseKey ?? null),
          right.map((one) => one?.orderNumber ?? null),
          right.map((one) => one?.before ?? null),
        ]);
        return true;
      }),
    finishCheck: (hold, atMs) =>
      safely(async (client) => {
        const row = await lockHeld(client, hold);
        if (row?.state !== 'checking') return;
        await client.query(markDuplicatesSql, [hold.jobId, atMs]);
        await client.query("UPDATE reissue.job SET state = 'draft' WHERE job_id = $1", [hold.jobId]);
        await noteEvent(client, hold.jobId, { atMs, by: 'engine', act: 'checked', detail: '' });
      }),
    take: (hold, limit, parked) =>
      safely(async (client) => {
        const row = await lockHeld(client, hold);
        if (!row) return [];
        const { rows } = await client.query<DueRow>(takeSql, [
          hold.jobId,
          limit,
          row.state === 'running',
          parked.map((one): PhaseKey => one.phaseKey),
          parked.map((one) => one.sceneId),
        ]);
        return rows.map(dueOf).sort((a, b) => a.line - b.line);
      }),
    settle: (hold, settled, atMs) =>
      safely(async (client) => {
        if (settled.length === 0 || !(await lockHeld(client, hold))) return;
        await client.query(settleSql, [
          hold.jobId,
          atMs,
          settled.map((one) => one.line),
          settled.map((one) => one.outcome),
          settled.map((one) => one.orderNumber ?? null),
          settled.map((one) => one.amountFen ?? null),
          settled.map((one) => one.reason ?? null),
        ]);
      }),
    putBack: (hold, lines) =>
      safely(async (client) => {
        if (lines.length === 0 || !(await lockHeld(client, hold))) return;
        await client.query(
          "UPDATE reissue.line SET state = 'waiting' WHERE job_id = $1 AND line = ANY ($2::int4[]) AND state = 'asking'",
          [hold.jobId, [...lines]],
        );
      }),
    finish: (hold, atMs) =>
      safely(async (client) => {
        const row = await lockHeld(client, hold);
        if (row?.state !== 'running') return false;
        const { rowCount } = await client.query(
          `UPDATE reissue.job SET state = 'done'
           WHERE job_id = $1 AND NOT EXISTS (SELECT FROM reissue.line WHERE job_id = $1 AND state <> 'settled')`,
          [hold.jobId],
        );
        if (rowCount !== 1) return false;
        await noteEvent(client, hold.jobId, { atMs, by: 'engine', act: 'done', detail: '' });
        return true;
      }),
  };
}
