-- The end of a piece that is on its way, fulfilled or dead. What has ended before is for award-lock.sql to look at.
-- $1 act_id bigint, $2 phase_key int4, $3 order number text, $4 state, $5 voucher, $6 reason, $7 count of buckets,
-- $8 the bucket int4[] (guard-write.sql). Returns the piece, or a row of nulls when it was not on its way.
-- In one statement, as award-claim.sql. Locks: bucket (shared), the award.
WITH settled AS (
  UPDATE ledger.award SET state = $4, tries = tries + 1, voucher = $5, reason = $6
  WHERE act_id = $1 AND phase_key = $2 AND ref = $3::text COLLATE "C" AND state IN ('granted', 'asking')
  RETURNING act_id, phase_key, ref, state, tries, due_at_ms, voucher, reason, used_at_ms
)
SELECT a.act_id, a.phase_key, a.ref, p.amount_fen, p.at_ms, a.state, a.tries, a.due_at_ms, a.voucher, a.reason, a.used_at_ms
FROM (SELECT ledger.guard_write($7::int4, $8::int4[], ARRAY[$1::bigint], ARRAY[$2::int4]) AS guarded) g
LEFT JOIN (settled a
  JOIN ledger.posting p ON p.act_id = a.act_id AND p.phase_key = a.phase_key AND p.purse = 6 AND p.ref = a.ref
) ON g.guarded IS NOT NULL
