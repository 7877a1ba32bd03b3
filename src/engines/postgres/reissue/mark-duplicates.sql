-- Of lines that are the same order the first counts; the others are told, and never asked for.
-- $1 job_id int4, $2 at_ms bigint. The caller holds the job's row. By place, as note-checked.sql says.
UPDATE reissue.line
SET state = 'settled', outcome = 'duplicate', reason = 'the same order as line ' || twin.first_line, settled_at_ms = $2
FROM (
  SELECT ctid AS place, line, min(line) OVER (PARTITION BY order_number) AS first_line
  FROM reissue.line WHERE job_id = $1 AND state = 'waiting'
) AS twin
WHERE line.ctid = twin.place AND twin.line > twin.first_line
