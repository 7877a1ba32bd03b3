-- Which of many orders are credited, pieces too: their places, from 1, rising.
-- $1 act_id bigint[], $2 phase_key int4[], $3 order number text[], of one length; $4 count of buckets int4 (null: a
-- ledger that is alone), $5 their buckets int4[] ({null}: alone). Raises HB001 when one is not held here.
SELECT ARRAY(
  SELECT o.place::int4
  FROM unnest($1::bigint[], $2::int4[], $3::text[]) WITH ORDINALITY AS o (act_id, phase_key, ref, place)
  JOIN ledger.posting p
    ON p.act_id = o.act_id AND p.phase_key = o.phase_key AND p.purse IN (1, 6) AND p.ref = o.ref COLLATE "C"
  ORDER BY o.place
) AS places
WHERE (SELECT bool_and(ledger.guard_read($4::int4, asked.bucket)) FROM unnest($5::int4[]) AS asked (bucket))
