-- $1 bucket, $2 epoch bigint, $3 mover uuid, $4 from state, $5 to state. Returns a row when it is done.
UPDATE ledger.bucket SET state = $5 WHERE bucket = $1 AND epoch = $2 AND mover = $3 AND state = $4 RETURNING bucket
