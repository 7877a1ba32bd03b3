-- The credits that stand under these order numbers, to compare their content.
-- $1 act_id bigint[], $2 phase_key int4[], $3 order number text[], $4 purse int4[], of one length.
SELECT p.phase_key, p.ref, p.amount_fen, p.at_ms, p.slice_id, p.slice_epoch, p.slice_index
FROM unnest($1::bigint[], $2::int4[], $3::text[], $4::int4[]) AS o (act_id, phase_key, ref, purse)
JOIN ledger.posting p
  ON p.act_id = o.act_id AND p.phase_key = o.phase_key AND p.purse = o.purse AND p.ref = o.ref COLLATE "C"
