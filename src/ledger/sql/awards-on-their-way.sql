-- How many pieces are on their way, how many of them are due, and when the oldest was drawn. $1 now ms bigint.
-- For a gauge that is read every few seconds, so it never walks far: at most 100,000 are counted, and of those that were
-- tried before 10,000 are looked at; what was not tried yet is due since it was drawn.
-- Of people whose bucket this database owns: what a move has copied here, or not swept away, is another shard's.
WITH waiting AS (
  SELECT a.due_at_ms, a.tries FROM ledger.award a
  WHERE a.state IN ('granted', 'asking')
    AND (NOT EXISTS (SELECT 1 FROM ledger.shard) OR EXISTS (
    SELECT 1 FROM ledger.bucket b, ledger.shard s WHERE b.bucket = a.act_id % s.buckets AND b.state IN ('held', 'leaving')))
  ORDER BY a.due_at_ms LIMIT 100000
), tried AS (
  SELECT a.act_id, a.phase_key, a.ref FROM ledger.award a
  WHERE a.state IN ('granted', 'asking') AND a.tries > 0
    AND (NOT EXISTS (SELECT 1 FROM ledger.shard) OR EXISTS (
    SELECT 1 FROM ledger.bucket b, ledger.shard s WHERE b.bucket = a.act_id % s.buckets AND b.state IN ('held', 'leaving')))
  LIMIT 10000
)
SELECT count(*)::int4 AS count, count(*) FILTER (WHERE due_at_ms <= $1::bigint)::int4 AS due,
  least(
    min(due_at_ms) FILTER (WHERE tries = 0),
    (SELECT min(p.at_ms) FROM tried t
     JOIN ledger.posting p ON p.act_id = t.act_id AND p.phase_key = t.phase_key AND p.purse = 6 AND p.ref = t.ref)
  ) AS oldest_ms
FROM waiting
