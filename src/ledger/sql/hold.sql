-- Takes an amount out of a person's wallet and holds it for a withdrawal.
-- $1 act_id bigint, $2 phase_key int4, $3 amount bigint, $4 withdrawal id uuid, $5 idempotency key, $6 payload hash,
-- $7 requested at ms bigint. Returns one row: held, 1, or 0 when the balance is too low (then nothing moved).
-- The account is locked by the caller (ledger.lock_account), after the forced credits of the same transaction.
WITH taken AS (
  SELECT 1 FROM ledger.posting WHERE act_id = $1 AND phase_key = $2 AND purse = 1
  HAVING coalesce(sum(amount_fen), 0) >= $3::bigint
), legs AS (
  INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
  SELECT $1, $2, leg.purse, $4::uuid || ':hold', leg.fen, $7
  FROM taken, (VALUES (1, -$3::bigint), (2, $3::bigint)) AS leg (purse, fen)
), noted AS (
  INSERT INTO ledger.withdrawal
    (act_id, phase_key, id, amount_fen, state, idempotency_key, payload_hash, requested_at_ms)
  SELECT $1, $2, $4::uuid, $3::bigint, 'held', $5, $6, $7 FROM taken
)
SELECT count(*)::int4 AS held FROM taken
