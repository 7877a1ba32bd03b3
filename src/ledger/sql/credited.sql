-- The credits that stand under these order numbers, to compare their content.
-- $1 act_id bigint[], $2 phase_key int4[], $3 order number text[], of one length.
SELECT p.ref, p.amount_fen, p.at_ms, p.slice_id, p.slice_epoch, p.slice_index
FROM unnest($1::bigint[], $2::int4[], $3::text[]) AS o (act_id, phase_key, ref)
JOIN ledger.posting p ON p.act_id = o.act_id AND p.phase_key = o.phase_key AND p.purse = 1 AND p.ref = o.ref COLLATE "C"
