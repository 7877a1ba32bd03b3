-- Notes what became of lines that were asked for; what is settled stays.
-- $1 job_id int4, $2 at_ms bigint; arrays of one length: $3 line int4, $4 outcome text, $5 given_number text,
-- $6 given_fen bigint, $7 reason text. The caller holds the job's row. By key and place, as
-- note-checked.sql says.
UPDATE reissue.line
SET state = 'settled', outcome = found.outcome, reason = found.reason, settled_at_ms = $2,
    given_number = found.given_number, given_fen = found.given_fen
FROM unnest($3::int4[], $4::text[], $5::text[], $6::bigint[], $7::text[])
  AS found (line, outcome, given_number, given_fen, reason)
CROSS JOIN LATERAL (
  SELECT due.ctid AS place FROM reissue.line AS due
  WHERE due.job_id = $1 AND due.line = found.line AND due.state = 'asking' OFFSET 0
) AS due
WHERE line.ctid = due.place
