-- How many of these rows (rows-of.sql) do not stand here with the same content. $1 postings, $2 withdrawals, $3 awards:
-- JSON texts. A piece may have gone on here; but what was handed out is not taken back.
SELECT (
  (SELECT count(*) FROM json_populate_recordset(NULL::ledger.posting, $1::json) r WHERE NOT EXISTS (
    SELECT 1 FROM ledger.posting p
    WHERE p.act_id = r.act_id AND p.phase_key = r.phase_key AND p.purse = r.purse AND p.ref = r.ref COLLATE "C"
      AND p.amount_fen = r.amount_fen AND p.at_ms = r.at_ms
      AND (p.slice_id, p.slice_epoch, p.slice_index) IS NOT DISTINCT FROM (r.slice_id, r.slice_epoch, r.slice_index)))
  + (SELECT count(*) FROM json_populate_recordset(NULL::ledger.withdrawal, $2::json) r WHERE NOT EXISTS (
    SELECT 1 FROM ledger.withdrawal w
    WHERE w.act_id = r.act_id AND w.phase_key = r.phase_key AND w.id = r.id AND w.amount_fen = r.amount_fen
      AND w.idempotency_key = r.idempotency_key COLLATE "C"))
  + (SELECT count(*) FROM json_populate_recordset(NULL::ledger.award, $3::json) r WHERE NOT EXISTS (
    SELECT 1 FROM ledger.award w
    WHERE w.act_id = r.act_id AND w.phase_key = r.phase_key AND w.ref = r.ref COLLATE "C"
      AND (r.state NOT IN ('fulfilled', 'used')
        OR (w.state IN (r.state, 'used') AND w.voucher IS NOT DISTINCT FROM r.voucher))))
)::int4 AS missing
