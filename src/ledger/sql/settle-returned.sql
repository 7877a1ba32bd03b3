-- Held money goes back to the wallet. $1 act_id bigint, $2 phase_key int4, $3 amount bigint, $4 withdrawal id uuid,
-- $5 at ms. The withdrawal's row is locked by the caller, so nobody else settles it. The legs are new rows.
WITH legs AS (
  INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
  SELECT $1, $2, leg.purse, $4::uuid || ':returned', leg.fen, $5
  FROM (VALUES (1, $3::bigint), (2, -$3::bigint)) AS leg (purse, fen)
)
UPDATE ledger.withdrawal SET state = 'returned', settled_at_ms = $5
WHERE act_id = $1 AND phase_key = $2 AND id = $4::uuid
