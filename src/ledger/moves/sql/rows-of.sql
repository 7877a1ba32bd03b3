-- Everything of some accounts, of one snapshot, as JSON texts that only databases read. $1 act_id bigint[],
-- $2 phase_key int4[], of one length.
WITH wanted AS MATERIALIZED (SELECT a.act_id, a.phase_key FROM unnest($1::bigint[], $2::int4[]) AS a (act_id, phase_key))
SELECT
  (SELECT coalesce(json_agg(p), '[]')::text FROM wanted w
     JOIN ledger.posting p ON p.act_id = w.act_id AND p.phase_key = w.phase_key) AS postings,
  (SELECT coalesce(json_agg(d), '[]')::text FROM wanted w
     JOIN ledger.withdrawal d ON d.act_id = w.act_id AND d.phase_key = w.phase_key) AS withdrawals,
  (SELECT coalesce(json_agg(d), '[]')::text FROM wanted w
     JOIN ledger.award d ON d.act_id = w.act_id AND d.phase_key = w.phase_key) AS awards
