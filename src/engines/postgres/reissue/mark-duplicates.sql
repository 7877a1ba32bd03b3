-- Of lines that are the same order the first counts; the others are told, and never asked for.
-- $1 job_id int4, $2 at_ms bigint. The caller holds the job's row.
UPDATE reissue.line
SET state = 'settled', outcome = 'duplicate', reason = 'the same order as line ' || twin.first_line, settled_at_ms = $2
FROM (
  SELECT line, min(line) OVER (PARTITION BY order_number) AS first_line
  FROM reissue.line WHERE job_id = $1 AND state = 'waiting'
) AS twin
WHERE line.job_id = $1 AND line.line = twin.line AND twin.line > twin.first_line
