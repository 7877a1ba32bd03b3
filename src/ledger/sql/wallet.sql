-- A person's money and which of the asked orders are credited, of one snapshot: the overlay's two halves must not be
-- read at two moments, or a packet would show twice or not at all.
-- Money only; but a credited piece is told as credited too, so that its token no longer counts as outstanding.
-- $1 act_id bigint, $2 phase_key int4, $3 order numbers text[], $4 count of buckets, $5 bucket.
SELECT
  coalesce((SELECT balance_fen FROM ledger.account WHERE act_id = $1 AND phase_key = $2 AND purse = 1), 0)::bigint AS balance_fen,
  coalesce((SELECT balance_fen FROM ledger.account WHERE act_id = $1 AND phase_key = $2 AND purse = 2), 0)::bigint AS held_fen,
  coalesce((SELECT income_fen FROM ledger.account WHERE act_id = $1 AND phase_key = $2 AND purse = 1), 0)::bigint AS income_fen,
  ARRAY(
    SELECT ref FROM ledger.posting
    WHERE act_id = $1 AND phase_key = $2 AND purse IN (1, 6) AND ref = ANY ($3::text[])
  ) AS credited
WHERE ledger.guard_read($4::int4, $5::int4)
