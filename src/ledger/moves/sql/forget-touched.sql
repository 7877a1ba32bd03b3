-- $1 entries bigint[]: they are copied.
DELETE FROM ledger.touched WHERE entry = ANY ($1::bigint[])
