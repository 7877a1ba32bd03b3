-- The lines of a wallet (money only: pieces are listed by awards-of.sql), newest first, strictly behind a cursor.
-- $1 act_id bigint, $2 phase_key int4, $3 cursor at ms bigint (null: from the newest), $4 cursor ref text, $5 limit,
-- $6 count of buckets, $7 bucket.
-- One person has few rows: the key's prefix finds them, a sort orders them.
SELECT kind, at_ms, ref, amount_fen, state FROM (
  SELECT 'credit' AS kind, at_ms, ref, amount_fen, NULL AS state
  FROM ledger.posting
  WHERE act_id = $1 AND phase_key = $2 AND purse = 1 AND slice_id IS NOT NULL
  UNION ALL
  SELECT 'withdrawal', requested_at_ms, id::text COLLATE "C", amount_fen, state
  FROM ledger.withdrawal
  WHERE act_id = $1 AND phase_key = $2
) AS line
WHERE ledger.guard_read($6::int4, $7::int4)
  AND ($3::bigint IS NULL OR (at_ms, ref COLLATE "C") < ($3::bigint, $4::text COLLATE "C"))
ORDER BY at_ms DESC, ref COLLATE "C" DESC
LIMIT $5
