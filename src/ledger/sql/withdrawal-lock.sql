-- As withdrawal-by-id, and nobody else moves it until the transaction ends. Locked before the person's accounts.
SELECT act_id, phase_key, id::text AS id, amount_fen, state, requested_at_ms, settled_at_ms
FROM ledger.withdrawal WHERE act_id = $1 AND phase_key = $2 AND id = $3::uuid FOR UPDATE
