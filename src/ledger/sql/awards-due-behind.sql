-- Pieces on their way that are due strictly behind a moment, first those that are due first. $1 ms bigint, $2 limit.
-- A range of the index award_due; asked with a moment behind which nobody puts anything off, it is empty.
-- Of people whose bucket this database owns: what a move has copied here, or not swept away, is another shard's.
SELECT a.act_id, a.phase_key, a.ref, p.amount_fen, p.at_ms, a.state, a.tries, a.due_at_ms, a.voucher, a.reason, a.used_at_ms
FROM ledger.award a
JOIN ledger.posting p ON p.act_id = a.act_id AND p.phase_key = a.phase_key AND p.purse = 6 AND p.ref = a.ref
WHERE a.state IN ('granted', 'asking') AND a.due_at_ms > $1::bigint
  AND (NOT EXISTS (SELECT 1 FROM ledger.shard) OR EXISTS (
    SELECT 1 FROM ledger.bucket b, ledger.shard s WHERE b.bucket = a.act_id % s.buckets AND b.state IN ('held', 'leaving')))
ORDER BY a.due_at_ms LIMIT $2
