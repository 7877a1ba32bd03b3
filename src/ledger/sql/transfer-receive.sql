-- Second step, at the receiver's: out of (0, phase, purse 7), "between people", into the wallet; once, by the posting's
-- key. It is no income: that stays with the account that earned it.
-- $1 the receiver's act_id bigint, $2 phase_key int4, $3 ref text, $4 amount bigint, $5 at ms bigint.
-- Until the third step (0, phase, purse 7) is below zero by the amount, over all shards.
WITH got AS (
  INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms) VALUES ($1, $2, 1, $3, $4::bigint, $5)
  ON CONFLICT (act_id, phase_key, purse, ref) DO NOTHING RETURNING act_id
)
INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
SELECT 0, $2, 7, $3, -$4::bigint, $5 FROM got
