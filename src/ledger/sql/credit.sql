-- Credits a batch of orders of one kind (money, or pieces), once each: the primary key is the idempotency.
-- $1 act_id bigint[], $2 phase_key int4[], $3 order number text[], $4 fen bigint[], $5 drawn at ms bigint[],
-- $6 slice_id bigint[], $7 slice_epoch int4[], $8 slice_index int4[]: all of one length, each order number once.
-- $9 the batch's own ref, never used before. $10 count of buckets, $11 the batch's buckets int4[] (guard-write.sql).
-- $12 purse int2: 1 money, 6 pieces, of which each gets its row of ledger.award.
-- Returns one row: fresh, how many were not there before. All or nothing.
-- Locks: buckets (shared); postings in key order; the funding legs and the awards are new rows.
-- Example: 1,000 orders of 990 people out of 3 slices write 1,000 + 3 postings.
WITH fresh AS (
  INSERT INTO ledger.posting (act_id, amount_fen, at_ms, slice_id, phase_key, slice_epoch, slice_index, purse, ref)
  SELECT o.act_id, o.fen, o.at_ms, o.slice_id, o.phase_key, o.epoch, o.index, $12::int2, o.ref
  FROM unnest($1::bigint[], $2::int4[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::int4[], $8::int4[])
    AS o (act_id, phase_key, ref, fen, at_ms, slice_id, epoch, index)
  ORDER BY o.act_id, o.phase_key, o.ref COLLATE "C"
  ON CONFLICT (act_id, phase_key, purse, ref) DO NOTHING
  RETURNING act_id, phase_key, ref, amount_fen, at_ms, slice_id
), funding AS (
  INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms, slice_id, slice_index)
  SELECT -f.slice_id, f.phase_key, 3, $9, -sum(f.amount_fen), max(f.at_ms), f.slice_id, count(*)
  FROM fresh f GROUP BY f.slice_id, f.phase_key
), awards AS (
  INSERT INTO ledger.award (act_id, phase_key, ref, due_at_ms)
  SELECT f.act_id, f.phase_key, f.ref, f.at_ms FROM fresh f WHERE $12::int2 = 6
)
SELECT count(*)::int4 AS fresh, ledger.guard_write($10::int4, $11::int4[], $1::bigint[], $2::int4[]) AS guarded FROM fresh
