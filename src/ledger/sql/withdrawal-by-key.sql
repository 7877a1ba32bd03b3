-- $1 act_id bigint, $2 phase_key int4, $3 idempotency key.
SELECT act_id, phase_key, id::text AS id, amount_fen, state, requested_at_ms, settled_at_ms, payload_hash
FROM ledger.withdrawal WHERE act_id = $1 AND phase_key = $2 AND idempotency_key = $3
