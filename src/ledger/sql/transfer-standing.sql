-- The transfer that left this account and is not known to have arrived: at most one. $1 act_id bigint, $2 phase_key int4.
-- Also how many ever left: the next one's number. Returns one row: left, and ref, amount_fen, at_ms (null: none stands).
-- Under the account's lock (transfer-lock.sql), in a statement of its own: it must see who held the lock before.
SELECT count(*)::int4 AS left, max(s.ref) FILTER (WHERE NOT s.arrived) AS ref,
  max(s.amount_fen) FILTER (WHERE NOT s.arrived) AS amount_fen, max(s.at_ms) FILTER (WHERE NOT s.arrived) AS at_ms
FROM (
  SELECT p.ref, p.amount_fen, p.at_ms, EXISTS (
    SELECT 1 FROM ledger.posting d
    WHERE d.act_id = $1 AND d.phase_key = $2 AND d.purse = 7 AND d.ref = p.ref || ':arrived' COLLATE "C"
  ) AS arrived
  FROM ledger.posting p WHERE p.act_id = $1 AND p.phase_key = $2 AND p.purse = 7 AND p.amount_fen > 0
) AS s
