-- Withdrawals whose money is held, oldest first. $1 limit.
SELECT act_id, phase_key, id::text AS id, amount_fen, state, requested_at_ms, settled_at_ms
FROM ledger.withdrawal WHERE state IN ('held', 'paying') ORDER BY requested_at_ms LIMIT $1
