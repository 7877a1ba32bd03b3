-- Takes up a move at the shard that the bucket goes to. $1 bucket, $2 epoch bigint, $3 mover uuid.
-- Returns one row: its state (arriving, or held when the move is over here) and how far the copy has come; none when
-- the bucket is in the way of another move. From then on no other mover changes anything. Under the bucket's
-- exclusive advisory lock.
INSERT INTO ledger.bucket AS b (bucket, state, epoch, mover) VALUES ($1, 'arriving', $2, $3)
ON CONFLICT (bucket) DO UPDATE SET
  state = CASE WHEN b.epoch < $2 THEN 'arriving' ELSE b.state END,
  reached_act_id = CASE WHEN b.epoch < $2 THEN 0 ELSE b.reached_act_id END,
  reached_phase_key = CASE WHEN b.epoch < $2 THEN 0 ELSE b.reached_phase_key END,
  epoch = $2, mover = $3
WHERE (b.epoch < $2 AND b.state = 'gone') OR (b.epoch = $2 AND b.state IN ('arriving', 'held'))
RETURNING b.state, b.reached_act_id, b.reached_phase_key
