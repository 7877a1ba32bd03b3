-- Notes of a piece on its way that nothing is settled; one that is not on its way stays as it is.
-- $1 act_id bigint, $2 phase_key int4, $3 order number text, $4 due at ms bigint, $5 reason text, $6 tries to add int4,
-- $7 whether it was certainly not handed out (asking → granted) boolean, $8 count of buckets, $9 the bucket int4[]
-- (guard-write.sql). Locks: bucket (shared), the award.
WITH noted AS (
  UPDATE ledger.award
  SET due_at_ms = $4, reason = $5, tries = tries + $6::int4, state = CASE WHEN $7 THEN 'granted' ELSE state END
  WHERE act_id = $1 AND phase_key = $2 AND ref = $3::text COLLATE "C" AND state IN ('granted', 'asking')
  RETURNING ref
)
SELECT (SELECT count(*) FROM noted)::int4 AS noted,
  ledger.guard_write($8::int4, $9::int4[], ARRAY[$1::bigint], ARRAY[$2::int4]) AS guarded
