-- Makes sure, until the transaction ends, that this database holds the buckets which are about to be written.
-- $1 the cluster's count of buckets int4 (null: a ledger that is alone), $2 buckets int4[] rising, $3 act_id bigint[],
-- $4 phase_key int4[] of one length. Raises HB001. Locks: the buckets, shared; before slices and rows.
SELECT ledger.guard_write($1::int4, $2::int4[], $3::bigint[], $4::int4[])
