-- Pieces that are still on their way after many tries, by order number, strictly behind one.
-- $1 order number text (null: from the first), $2 limit, $3 tries at least int4, from 1.
-- Of people whose bucket this database owns: what a move has copied here, or not swept away, is another shard's.
SELECT a.act_id, a.phase_key, a.ref, p.amount_fen, p.at_ms, a.state, a.tries, a.due_at_ms, a.voucher, a.reason, a.used_at_ms
FROM ledger.award a
JOIN ledger.posting p ON p.act_id = a.act_id AND p.phase_key = a.phase_key AND p.purse = 6 AND p.ref = a.ref
WHERE a.state IN ('granted', 'asking') AND a.tries > 0 AND a.tries >= $3::int4
  AND ($1::text IS NULL OR a.ref > $1::text COLLATE "C")
  AND (NOT EXISTS (SELECT 1 FROM ledger.shard) OR EXISTS (
    SELECT 1 FROM ledger.bucket b, ledger.shard s WHERE b.bucket = a.act_id % s.buckets AND b.state IN ('held', 'leaving')))
ORDER BY a.ref LIMIT $2
