-- As awards-due.sql, of some scenes only. $1 now ms bigint, $2 limit, $3 phase_key int4[], $4 scene ids text[],
-- of one length, each pair once: campaigns may have a scene of one name, and downstreams of their own for it.
-- Scene by scene, so that each is a short walk along its own part of the index, however many others wait.
SELECT a.act_id, a.phase_key, a.ref, p.amount_fen, p.at_ms, a.state, a.tries, a.due_at_ms, a.voucher, a.reason, a.used_at_ms
FROM unnest($3::int4[], $4::text[]) AS scene (phase_key, id)
CROSS JOIN LATERAL (
  SELECT a.act_id, a.phase_key, a.ref, a.state, a.tries, a.due_at_ms, a.voucher, a.reason, a.used_at_ms
  FROM ledger.award a
  WHERE a.phase_key = scene.phase_key AND split_part(a.ref, '_', 2) = scene.id
    AND a.state IN ('granted', 'asking') AND a.due_at_ms <= $1::bigint
    AND (NOT EXISTS (SELECT 1 FROM ledger.shard) OR EXISTS (
      SELECT 1 FROM ledger.bucket b, ledger.shard s WHERE b.bucket = a.act_id % s.buckets AND b.state IN ('held', 'leaving')))
  ORDER BY a.due_at_ms LIMIT $2
) a
JOIN ledger.posting p ON p.act_id = a.act_id AND p.phase_key = a.phase_key AND p.purse = 6 AND p.ref = a.ref
ORDER BY a.due_at_ms LIMIT $2
