-- A row when this database holds people of other buckets. $1 count of buckets int4, $2 its own buckets int4[].
SELECT 1 FROM ledger.posting WHERE act_id > 0 AND NOT (act_id % $1::int4)::int4 = ANY ($2::int4[]) LIMIT 1
