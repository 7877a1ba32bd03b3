-- Writes what became of a piece, whose row the caller has locked. $1 act_id bigint, $2 phase_key int4, $3 order number,
-- $4 state, $5 tries int4, $6 due at ms bigint, $7 voucher, $8 reason, $9 used at ms bigint.
UPDATE ledger.award
SET state = $4, tries = $5, due_at_ms = $6, voucher = $7, reason = $8, used_at_ms = $9
WHERE act_id = $1 AND phase_key = $2 AND ref = $3::text COLLATE "C"
