-- A person's accounts, in the order in which everybody locks them. $1 act_id bigint, $2 phase_key int4.
SELECT purse FROM ledger.account WHERE act_id = $1 AND phase_key = $2 AND purse IN (1, 2) ORDER BY purse FOR UPDATE
