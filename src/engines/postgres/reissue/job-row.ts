import type { PoolClient } from 'pg';
import type { ReissueEvent, ReissueHold } from '../../ports.ts';
import { JOB_COLUMNS, type JobRow } from './rows.ts';

/** The job as it stands; nobody else changes it until the transaction ends. */
export async function lockJob(client: PoolClient, id: number): Promise<JobRow | undefined> {
  const { rows } = await client.query<JobRow>(
    `SELECT ${JOB_COLUMNS} FROM reissue.job WHERE job_id = $1 FOR UPDATE`,
    [id],
  );
  return rows[0];
}

/** The job's row, locked, while the hold is the newest; undefined when another worker has it. */
export async function lockHeld(client: PoolClient, hold: ReissueHold): Promise<JobRow | undefined> {
  const row = await lockJob(client, hold.jobId);
  return row?.epoch === hold.epoch ? row : undefined;
}

export async function noteEvent(client: PoolClient, id: number, event: ReissueEvent): Promise<void> {
  await client.query(
    'INSERT INTO reissue.event (job_id, at_ms, by_whom, act, detail) VALUES ($1, $2, $3, $4, $5)',
    [id, event.atMs, event.by, event.act, event.detail],
  );
}
