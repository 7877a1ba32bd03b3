-- All pieces of a person, newest first. $1 act_id bigint, $2 phase_key int4, $3 order number text (null: all of them),
-- $4 count of buckets, $5 bucket. One person has few rows: the key's prefix finds them.
SELECT a.act_id, a.phase_key, a.ref, p.amount_fen, p.at_ms, a.state, a.tries, a.due_at_ms, a.voucher, a.reason, a.used_at_ms
FROM ledger.award a
JOIN ledger.posting p ON p.act_id = a.act_id AND p.phase_key = a.phase_key AND p.purse = 6 AND p.ref = a.ref
WHERE a.act_id = $1 AND a.phase_key = $2 AND ($3::text IS NULL OR a.ref = $3::text COLLATE "C")
  AND ledger.guard_read($4::int4, $5::int4)
ORDER BY p.at_ms DESC, a.ref DESC
