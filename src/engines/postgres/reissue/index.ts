import type { Pool, PoolClient } from 'pg';
import { isRefusal, type Refusal, RetryableFault, refuse } from '../../../protocol/failures.ts';
import { decideReissue } from '../../../rules/reissue-machine.ts';
import type { Fen } from '../../../vocabulary/fen.ts';
import type { CampaignId, PhaseKey, SceneId } from '../../../vocabulary/ids.ts';
import { instantMs } from '../../../vocabulary/instant.ts';
import type { ReissueEvent, ReissueJob, ReissueLineIn, Reissues } from '../../ports.ts';
import type { Migration } from '../migrate.ts';
import { asFault } from '../retryable.ts';
import { RollBack, transaction } from '../transaction.ts';
import schema from './0001-reissue.sql';
import insertLinesSql from './insert-lines.sql';
import { lockJob, noteEvent } from './job-row.ts';
import resultsSql from './results.sql';
import { JOB_COLUMNS, type JobRow, jobOf, type ResultRow, resultOf } from './rows.ts';
import { createWork } from './work.ts';

export const reissueMigrations: readonly Migration[] = [{ name: 'reissue/0001-reissue', sql: schema }];

const UNIQUE_VIOLATION = '23505';

/** Lists and their lines on control's Postgres. */
export function createReissues(pool: Pool): Reissues {
  const query = async <Row extends object>(text: string, values: unknown[]): Promise<Row[]> => {
    try {
      return (await pool.query<Row>(text, values)).rows;
    } catch (error) {
      throw asFault(error);
    }
  };
  const safely = async <Result>(act: (client: PoolClient) => Promise<Result>): Promise<Result> => {
    try {
      return await transaction(pool, act);
    } catch (error) {
      throw asFault(error);
    }
  };
  /** The job as it stands, and nobody else changes it until the transaction ends. */
  const change = (
    id: number,
    act: (client: PoolClient, row: JobRow) => Promise<Refusal | undefined>,
  ): Promise<ReissueJob | Refusal> =>
    safely(async (client) => {
      const row = await lockJob(client, id);
      const refusal = row ? await act(client, row) : refuse('reissue-unknown', `there is no job ${id}`);
      return refusal ?? jobOf((await lockJob(client, id))!);
    });

  async function jobByContent(contentHash: Uint8Array): Promise<ReissueJob | undefined> {
    const [row] = await query<JobRow>(
      `SELECT ${JOB_COLUMNS} FROM reissue.job WHERE content_hash = $1 AND state <> 'cancelled'`,
      [Buffer.from(contentHash)],
    );
    return row && jobOf(row);
  }

  return {
    ...createWork(safely),
    async keep(list, lines, contentHash) {
      const kept = await safely(async (client) => {
        const { rows } = await client.query<{ job_id: number }>(
          `INSERT INTO reissue.job (state, made_by, made_at_ms, per_second) VALUES ('checking', $1, $2, $3) RETURNING job_id`,
          [list.madeBy, list.madeAtMs, list.perSecond],
        );
        const id = rows[0]!.job_id;
        let count = 0;
        for await (const batch of lines) {
          await insertLines(client, id, batch);
          count += batch.length;
        }
        try {
          await client.query('UPDATE reissue.job SET content_hash = $2, lines = $3 WHERE job_id = $1', [
            id,
            Buffer.from(contentHash()),
            count,
          ]);
        } catch (error) {
          if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
          throw new RollBack(undefined);
        }
        await noteEvent(client, id, {
          atMs: list.madeAtMs,
          by: list.madeBy,
          act: 'made',
          detail: `${count} lines, ${Buffer.from(contentHash()).toString('hex')}`,
        });
        return jobOf((await lockJob(client, id))!);
      });
      if (kept) return { job: kept, isNew: true };
      const known = await jobByContent(contentHash());
      if (known) return { job: known, isNew: false };
      // The lines were read once and are gone, so the caller brings them again.
      throw new RetryableFault('control-unavailable', 'the same list was cancelled at this moment', 100);
    },
    async job(id) {
      const [row] = await query<JobRow>(`SELECT ${JOB_COLUMNS} FROM reissue.job WHERE job_id = $1`, [id]);
      return row && jobOf(row);
    },
    jobs: async (limit) =>
      (
        await query<JobRow>(`SELECT ${JOB_COLUMNS} FROM reissue.job ORDER BY job_id DESC LIMIT $1`, [limit])
      ).map(jobOf),
    act: (id, ask) =>
      change(id, async (client, row) => {
        const job = jobOf(row);
        const next = decideReissue(job, await countsOf(client, id), ask);
        if (isRefusal(next)) return next;
        await client.query(
          'UPDATE reissue.job SET state = $2, approved_by = coalesce($3, approved_by) WHERE job_id = $1',
          [id, next, ask.act === 'approve' ? ask.by : null],
        );
        // Once more, for what was refused.
        if (job.state === 'done')
          await client.query(
            `UPDATE reissue.line SET state = 'waiting', outcome = NULL, reason = NULL, settled_at_ms = NULL
             WHERE job_id = $1 AND outcome = 'refused'`,
            [id],
          );
        const detail = ask.act === 'approve' ? job.contentHash : '';
        await noteEvent(client, id, { atMs: ask.atMs, by: ask.by, act: ask.act, detail });
        return undefined;
      }),
    setRate: (id, perSecond, by, atMs) =>
      change(id, async (client, row) => {
        if (row.state === 'cancelled' || row.state === 'done')
          return refuse('reissue-not-now', `job ${id} is ${row.state}`);
        await client.query('UPDATE reissue.job SET per_second = $2 WHERE job_id = $1', [id, perSecond]);
        const detail = `${row.per_second} → ${perSecond} a second`;
        await noteEvent(client, id, { atMs, by, act: 'rate', detail });
        return undefined;
      }),
    counts: (id) => safely((client) => countsOf(client, id)),
    async settledSince(id, sinceMs) {
      const [row] = await query<{ count: bigint }>(
        `SELECT count(*) FROM reissue.line
         WHERE job_id = $1 AND settled_at_ms > $2 AND outcome IN ('granted', 'already', 'refused')`,
        [id, sinceMs],
      );
      return Number(row!.count);
    },
    async givenBefore(id) {
      const [row] = await query<{ count: bigint }>(
        "SELECT count(*) FROM reissue.line WHERE job_id = $1 AND given_before AND state <> 'settled'",
        [id],
      );
      return Number(row!.count);
    },
    async needs(id) {
      const rows = await query<{
        campaign_id: CampaignId;
        scene_id: SceneId;
        phase_key: PhaseKey;
        lines: bigint;
        named_fen: Fen;
      }>(
        `SELECT campaign_id, scene_id, phase_key, count(*) AS lines, coalesce(sum(amount_fen), 0)::bigint AS named_fen
         FROM reissue.line WHERE job_id = $1 AND state IN ('waiting', 'asking') AND NOT given_before
         GROUP BY campaign_id, scene_id, phase_key ORDER BY phase_key, scene_id`,
        [id],
      );
      return rows.map((row) => ({
        campaignId: row.campaign_id,
        sceneId: row.scene_id,
        phaseKey: row.phase_key,
        lines: Number(row.lines),
        namedFen: row.named_fen,
      }));
    },
    async events(id) {
      const rows = await query<{
        at_ms: bigint;
        by_whom: string;
        act: ReissueEvent['act'];
        detail: string;
      }>('SELECT at_ms, by_whom, act, detail FROM reissue.event WHERE job_id = $1 ORDER BY event_id', [id]);
      return rows.map((row) => ({
        atMs: instantMs(Number(row.at_ms)),
        by: row.by_whom,
        act: row.act,
        detail: row.detail,
      }));
    },
    results: async (id, after, limit, only) =>
      (await query<ResultRow>(resultsSql, [id, after, limit, only ?? null])).map(resultOf),
  };
}

async function countsOf(client: PoolClient, id: number): Promise<Record<string, number>> {
  const { rows } = await client.query<{ outcome: string; count: bigint }>(
    'SELECT coalesce(outcome, state) AS outcome, count(*) FROM reissue.line WHERE job_id = $1 GROUP BY 1 ORDER BY 1',
    [id],
  );
  return Object.fromEntries(rows.map((row) => [row.outcome, Number(row.count)]));
}

async function insertLines(client: PoolClient, id: number, batch: readonly ReissueLineIn[]): Promise<void> {
  const read = batch.map((line) => ('wrong' in line ? undefined : line));
  await client.query(insertLinesSql, [
    id,
    batch.map((line) => line.line),
    batch.map((line) => ('wrong' in line ? line.wrong : null)),
    read.map((line) => line?.campaignId ?? null),
    read.map((line) => line?.sceneId ?? null),
    read.map((line) => line?.rainId ?? null),
    read.map((line) => line?.appId ?? null),
    read.map((line) => (line ? Buffer.from(line.userKey) : null)),
    read.map((line) => line?.amountFen ?? null),
    read.map((line) => line?.drawnAtMs ?? null),
  ]);
}
