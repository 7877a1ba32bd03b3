-- $1 act_id bigint, $2 phase_key int4, $3 withdrawal id uuid. Returns a row when it is now paying.
UPDATE ledger.withdrawal SET state = 'paying'
WHERE act_id = $1 AND phase_key = $2 AND id = $3::uuid AND state IN ('held', 'paying') RETURNING id
