-- What a slice has given: its account's postings, one per batch. $1 slice_id bigint, $2 phase_key int4.
SELECT coalesce(sum(slice_index), 0)::int4 AS packets, coalesce(-sum(amount_fen), 0)::bigint AS fen
FROM ledger.posting WHERE act_id = -$1::bigint AND phase_key = $2 AND purse = 3
