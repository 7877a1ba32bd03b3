-- Locks a bucket's row for its mover. $1 bucket, $2 epoch bigint, $3 mover uuid, $4 the state that is expected.
-- Returns a row when they are all as expected; none when another mover took over.
SELECT bucket FROM ledger.bucket WHERE bucket = $1 AND epoch = $2 AND mover = $3 AND state = $4 FOR UPDATE
