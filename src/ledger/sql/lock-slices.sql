-- Keeps slices from being fenced until the transaction ends; one after the other, rising. $1 lock space int4,
-- $2 slice ids bigint[], rising.
SELECT count(pg_advisory_xact_lock_shared($1::int4, hashint8(o.slice_id)))
FROM (SELECT slice_id FROM unnest($2::bigint[]) WITH ORDINALITY AS s (slice_id, place) ORDER BY place) AS o
