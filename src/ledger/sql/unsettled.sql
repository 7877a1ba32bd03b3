-- Withdrawals whose money is held, oldest first, of people whose bucket this database owns. $1 limit.
SELECT act_id, phase_key, id::text AS id, amount_fen, w.state, requested_at_ms, settled_at_ms
FROM ledger.withdrawal w WHERE w.state IN ('held', 'paying')
  AND (NOT EXISTS (SELECT 1 FROM ledger.shard) OR EXISTS (
    SELECT 1 FROM ledger.bucket b, ledger.shard s WHERE b.bucket = act_id % s.buckets AND b.state IN ('held', 'leaving')))
ORDER BY requested_at_ms LIMIT $1
