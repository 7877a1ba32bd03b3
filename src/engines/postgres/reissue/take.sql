-- Marks lines as asked before anybody is asked, so that a crash leaves them to be asked again under the same order
-- number. Those that were begun come first; others only while the job runs.
-- $1 job_id int4, $2 limit int4, $3 running boolean; parked scenes: $4 phase_key int4[], $5 scene_id text[].
-- The caller holds the job's row. By place, as note-checked.sql says.
WITH begun AS (
  SELECT ctid AS place FROM reissue.line WHERE job_id = $1 AND state = 'asking' ORDER BY line LIMIT $2
), fresh AS (
  SELECT ctid AS place FROM reissue.line
  WHERE $3 AND job_id = $1 AND state = 'waiting'
    AND NOT EXISTS (SELECT FROM unnest($4::int4[], $5::text[]) AS parked (phase_key, scene_id)
                    WHERE parked.phase_key = line.phase_key AND parked.scene_id = line.scene_id)
  ORDER BY line LIMIT greatest(0, $2 - (SELECT count(*) FROM begun))
), due AS (
  SELECT place, true AS asked_before FROM begun UNION ALL SELECT place, false FROM fresh
)
UPDATE reissue.line SET state = 'asking' FROM due
WHERE line.ctid = due.place
RETURNING line.line, campaign_id, scene_id, rain_id, app_id, act_id, phase_key, amount_fen, drawn_at_ms, order_number, asked_before, given_before
