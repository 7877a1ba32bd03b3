-- A piece, which nobody else changes until the transaction ends. $1 act_id bigint, $2 phase_key int4, $3 order number.
SELECT a.act_id, a.phase_key, a.ref, p.amount_fen, p.at_ms, a.state, a.tries, a.due_at_ms, a.voucher, a.reason, a.used_at_ms
FROM ledger.award a
JOIN ledger.posting p ON p.act_id = a.act_id AND p.phase_key = a.phase_key AND p.purse = 6 AND p.ref = a.ref
WHERE a.act_id = $1 AND a.phase_key = $2 AND a.ref = $3::text COLLATE "C"
FOR UPDATE OF a
