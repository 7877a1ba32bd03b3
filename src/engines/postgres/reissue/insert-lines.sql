-- Brings lines in, a batch at a time, in the transaction that makes the job.
-- $1 job_id int4; then one array each, of one length: $2 line int4, $3 wrong text (null: readable), $4 campaign_id text,
-- $5 scene_id text, $6 rain_id int4, $7 app_id int4, $8 user_key bytea, $9 amount_fen bigint, $10 drawn_at_ms bigint.
INSERT INTO reissue.line (job_id, line, state, outcome, reason, campaign_id, scene_id, rain_id, app_id, user_key, amount_fen, drawn_at_ms)
SELECT $1, line, CASE WHEN wrong IS NULL THEN 'unchecked' ELSE 'settled' END,
       CASE WHEN wrong IS NOT NULL THEN 'wrong' END, wrong,
       campaign_id, scene_id, rain_id, app_id, user_key, amount_fen, drawn_at_ms
FROM unnest($2::int4[], $3::text[], $4::text[], $5::text[], $6::int4[], $7::int4[], $8::bytea[], $9::bigint[], $10::bigint[])
  AS given (line, wrong, campaign_id, scene_id, rain_id, app_id, user_key, amount_fen, drawn_at_ms)
