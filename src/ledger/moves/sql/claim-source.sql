-- Takes up a move at the shard that the bucket leaves. $1 bucket, $2 epoch bigint, $3 mover uuid. Returns one row: its
-- state (leaving, or gone when it was handed over); none when the bucket is not this shard's to give. Under the
-- bucket's exclusive advisory lock: every writer after it notes what it touches.
UPDATE ledger.bucket SET state = CASE state WHEN 'held' THEN 'leaving' ELSE state END, epoch = $2, mover = $3
WHERE bucket = $1 AND ((epoch < $2 AND state = 'held') OR (epoch = $2 AND state IN ('leaving', 'gone')))
RETURNING state
