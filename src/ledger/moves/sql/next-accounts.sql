-- The next people's accounts of a bucket. $1 count of buckets int4, $2 bucket int4, $3 act_id bigint and $4 phase_key
-- int4 of the last ones before, $5 limit, $6 the last act_id bigint that is asked for. Every withdrawal and award
-- of a person has a posting.
SELECT DISTINCT act_id, phase_key FROM ledger.posting
WHERE act_id > 0 AND act_id % $1::int4 = $2::int4 AND (act_id, phase_key) > ($3::bigint, $4::int4)
  AND act_id <= $6::bigint
ORDER BY act_id, phase_key LIMIT $5
