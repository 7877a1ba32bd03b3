-- Held money goes back to the wallet. $1 act_id bigint, $2 phase_key int4, $3 amount bigint, $4 withdrawal id uuid,
-- $5 at ms. The withdrawal's row is locked by the caller, and both accounts, wallet first (accounts-lock.sql).
WITH taken AS (
  UPDATE ledger.account SET balance_fen = balance_fen + CASE purse WHEN 1 THEN $3::bigint ELSE -$3::bigint END
  WHERE act_id = $1 AND phase_key = $2 AND purse IN (1, 2) RETURNING purse
), legs AS (
  INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
  SELECT $1, $2, purse, $4::uuid || ':returned', CASE purse WHEN 1 THEN $3::bigint ELSE -$3::bigint END, $5
  FROM taken
)
UPDATE ledger.withdrawal SET state = 'returned', settled_at_ms = $5
WHERE act_id = $1 AND phase_key = $2 AND id = $4::uuid
