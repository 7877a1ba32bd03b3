-- One of those who saw a piece due takes it up: granted or asking → asking, and due at another time from then on.
-- $1 act_id bigint, $2 phase_key int4, $3 order number text, $4 the due time that was seen, ms bigint, $5 due at ms
-- bigint, $6 count of buckets, $7 the bucket int4[] (guard-write.sql). Returns one row: claimed, 1 or 0.
-- In one statement, since every piece goes through here: a transaction of four took three times as long.
-- Locks: bucket (shared), the award.
WITH claimed AS (
  UPDATE ledger.award SET state = 'asking', due_at_ms = $5
  WHERE act_id = $1 AND phase_key = $2 AND ref = $3::text COLLATE "C"
    AND state IN ('granted', 'asking') AND due_at_ms = $4
  RETURNING ref
)
SELECT (SELECT count(*) FROM claimed)::int4 AS claimed,
  ledger.guard_write($6::int4, $7::int4[], ARRAY[$1::bigint], ARRAY[$2::int4]) AS guarded
