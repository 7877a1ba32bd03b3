-- $1 act_id bigint, $2 phase_key int4, $3 withdrawal id uuid, $4 count of buckets, $5 bucket.
SELECT act_id, phase_key, id::text AS id, amount_fen, state, requested_at_ms, settled_at_ms
FROM ledger.withdrawal WHERE act_id = $1 AND phase_key = $2 AND id = $3::uuid AND ledger.guard_read($4::int4, $5::int4)
