-- What a wallet has and what is on its way out of it. $1 act_id bigint, $2 phase_key int4. Returns one row: balance_fen;
-- left, how many transfers ever left it: the next one's number; and the one that is not known to have arrived, of which
-- there is at most one: ref, amount_fen, at_ms (null: none). The account is locked by the caller (ledger.lock_account).
SELECT
  (SELECT coalesce(sum(amount_fen), 0)::bigint FROM ledger.posting
   WHERE act_id = $1 AND phase_key = $2 AND purse = 1) AS balance_fen,
  count(s.ref)::int4 AS left, max(s.ref) FILTER (WHERE NOT s.arrived) AS ref,
  max(s.amount_fen) FILTER (WHERE NOT s.arrived) AS amount_fen, max(s.at_ms) FILTER (WHERE NOT s.arrived) AS at_ms
FROM (
  SELECT p.ref, p.amount_fen, p.at_ms, EXISTS (
    SELECT 1 FROM ledger.posting d
    WHERE d.act_id = $1 AND d.phase_key = $2 AND d.purse = 7 AND d.ref = p.ref || ':arrived' COLLATE "C"
  ) AS arrived
  FROM ledger.posting p WHERE p.act_id = $1 AND p.phase_key = $2 AND p.purse = 7 AND p.amount_fen > 0
) AS s
