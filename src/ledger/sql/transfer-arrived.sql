-- Third step, at the sender's: it has arrived, so purse 7 lets go of it; once, by the posting's key.
-- $1 the sender's act_id bigint, $2 phase_key int4, $3 ref text, $4 amount bigint, $5 at ms bigint.
WITH gone AS (
  INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
  VALUES ($1, $2, 7, $3 || ':arrived', -$4::bigint, $5)
  ON CONFLICT (act_id, phase_key, purse, ref) DO NOTHING RETURNING act_id
)
INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
SELECT 0, $2, 7, $3 || ':arrived', $4::bigint, $5 FROM gone
