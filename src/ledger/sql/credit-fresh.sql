-- Credits a batch of orders of which none is there yet; when one is, the primary key undoes all of it (23505).
-- What the batch comes to per slice is added up by the caller, which is right only because every order is fresh: done
-- here, the sums are numeric, and the fresh rows are kept and read twice.
-- Orders, by (act_id, phase_key, order number), each order number once, all arrays of one length:
--   $1 act_id bigint[], $2 phase_key int4[], $3 order number text[], $4 fen bigint[], $5 drawn at ms bigint[],
--   $6 slice_id bigint[], $7 slice_epoch int4[], $8 slice_index int4[].
-- Slices, each once: $9 slice_id bigint[], $10 phase_key int4[], $11 fen bigint[], $12 last drawn at ms bigint[],
--   $13 number of orders int4[].
-- $14 the batch's own ref, never used before. $15 count of buckets, $16 the batch's buckets int4[] (guard-write.sql).
-- Locks: buckets (shared), then postings: the funding legs are new rows, then in key order.
-- Example: 2,000 orders of 1,990 people out of 3 slices write 2,000 + 3 postings, and nothing else.
WITH guard AS MATERIALIZED (
  SELECT ledger.guard_write($15::int4, $16::int4[], $1::bigint[], $2::int4[]) AS held
)
INSERT INTO ledger.posting (act_id, amount_fen, at_ms, slice_id, phase_key, slice_epoch, slice_index, purse, ref)
SELECT -s.slice_id, -s.fen, s.at_ms, s.slice_id, s.phase_key, NULL, s.orders, 3, $14::text
FROM guard CROSS JOIN unnest($9::bigint[], $10::int4[], $11::bigint[], $12::bigint[], $13::int4[])
  AS s (slice_id, phase_key, fen, at_ms, orders)
WHERE guard.held
UNION ALL
SELECT o.act_id, o.fen, o.at_ms, o.slice_id, o.phase_key, o.epoch, o.index, 1, o.ref
FROM unnest($1::bigint[], $2::int4[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::int4[], $8::int4[])
  AS o (act_id, phase_key, ref, fen, at_ms, slice_id, epoch, index)
