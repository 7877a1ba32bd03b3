-- Makes this database a shard. $1 its name, $2 the cluster's count of buckets int4, $3 the buckets that it holds int4[].
WITH shard AS (INSERT INTO ledger.shard (name, buckets) VALUES ($1, $2))
INSERT INTO ledger.bucket (bucket, state, epoch) SELECT b, 'held', 0 FROM unnest($3::int4[]) AS b
