-- Accounts that were written while their bucket was leaving, as noted. $1 bucket, $2 limit.
SELECT entry, act_id, phase_key FROM ledger.touched WHERE bucket = $1 ORDER BY entry LIMIT $2
