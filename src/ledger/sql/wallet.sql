-- A person's money and which of the asked orders are credited, of one snapshot: the overlay's two halves must not be
-- read at two moments, or a packet would show twice or not at all.
-- Money only; but a credited piece is told as credited too, so that its token no longer counts as outstanding.
-- $1 act_id bigint, $2 phase_key int4, $3 order numbers text[], $4 count of buckets, $5 bucket.
-- Everything of a person lies side by side in the key.
SELECT balance_fen, held_fen, income_fen, moved_fen, credited FROM (
  SELECT
    coalesce(sum(amount_fen) FILTER (WHERE purse = 1), 0)::bigint AS balance_fen,
    coalesce(sum(amount_fen) FILTER (WHERE purse = 2), 0)::bigint AS held_fen,
    coalesce(sum(amount_fen) FILTER (WHERE purse = 1 AND slice_id IS NOT NULL), 0)::bigint AS income_fen,
    coalesce(sum(amount_fen) FILTER (WHERE purse = 1 AND starts_with(ref, 'transfer:')), 0)::bigint AS moved_fen,
    coalesce(array_agg(ref) FILTER (WHERE purse IN (1, 6) AND ref = ANY ($3::text[])), '{}') AS credited
  FROM ledger.posting WHERE act_id = $1 AND phase_key = $2
) AS person
WHERE ledger.guard_read($4::int4, $5::int4)
