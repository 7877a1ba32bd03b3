-- $1 bucket, $2 act_id bigint, $3 phase_key int4: everything up to this account is copied.
UPDATE ledger.bucket SET reached_act_id = $2, reached_phase_key = $3 WHERE bucket = $1
