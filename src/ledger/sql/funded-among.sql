-- Accounts of these people that have money in the wallet or on its way out of it, of buckets that this database owns.
-- $1 act_id bigint[].
SELECT DISTINCT a.act_id, a.phase_key FROM ledger.account a
WHERE a.act_id = ANY ($1::bigint[]) AND a.purse IN (1, 7) AND a.balance_fen > 0
  AND (NOT EXISTS (SELECT 1 FROM ledger.shard) OR EXISTS (
    SELECT 1 FROM ledger.bucket b, ledger.shard s WHERE b.bucket = a.act_id % s.buckets AND b.state IN ('held', 'leaving')))
ORDER BY a.act_id, a.phase_key
