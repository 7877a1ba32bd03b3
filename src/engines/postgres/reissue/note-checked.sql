-- Notes what the check found; the keyed hash of the person's name is forgotten with it.
-- $1 job_id int4; then arrays of one length: $2 line int4, $3 wrong text (null: it is right), $4 act_id bigint,
-- $5 phase_key int4, $6 order_number text, $7 given_before boolean. The caller holds the job's row.
-- Each line is found by its key and updated in its place (ctid): a plain join was at the mercy of statistics that know
-- nothing of a list which has just come in, and then compared each line of the list with each of the batch.
UPDATE reissue.line
SET state = CASE WHEN found.wrong IS NULL THEN 'waiting' ELSE 'settled' END,
    outcome = CASE WHEN found.wrong IS NOT NULL THEN 'wrong' END, reason = found.wrong, user_key = NULL,
    act_id = found.act_id, phase_key = found.phase_key, order_number = found.order_number,
    given_before = coalesce(found.given_before, false)
FROM unnest($2::int4[], $3::text[], $4::bigint[], $5::int4[], $6::text[], $7::boolean[])
  AS found (line, wrong, act_id, phase_key, order_number, given_before)
CROSS JOIN LATERAL (
  SELECT due.ctid AS place FROM reissue.line AS due
  WHERE due.job_id = $1 AND due.line = found.line AND due.state = 'unchecked' OFFSET 0
) AS due
WHERE line.ctid = due.place
