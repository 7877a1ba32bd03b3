-- Takes the oldest job that has work and that nobody holds, or this worker itself from before it was started again: a
-- list to check, one that runs, or one that was paused or cancelled while lines of it were asked for, whose outcome has
-- to be found out.
-- A lease that ends a minute later than any that is given now was given by a clock that was ahead, and holds nothing:
-- whoever gave it may be dead, and would be waited for until then. Should it live, it writes nothing under its old epoch.
-- $1 worker text, $2 now_ms bigint, $3 until_ms bigint, $4 job ids to pass over int4[]. Returns (job_id, epoch) or none.
-- Locks the job; two workers never get the same one.
UPDATE reissue.job SET worker = $1, epoch = epoch + 1, lease_until_ms = $3
WHERE job_id = (
  SELECT job_id FROM reissue.job AS due
  WHERE (lease_until_ms <= $2 OR lease_until_ms > $3::bigint + 60000 OR worker = $1) AND job_id <> ALL ($4::int4[])
    AND (state IN ('checking', 'running')
      OR (state IN ('paused', 'cancelled')
        AND EXISTS (SELECT FROM reissue.line WHERE line.job_id = due.job_id AND line.state = 'asking')))
  ORDER BY job_id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING job_id, epoch
